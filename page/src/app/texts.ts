/**
 * Every text of the page in one place, so that it can be translated.
 *
 * A file that cannot be used is refused in the Python package's words: what was found, what was
 * expected, what to do.
 */

const refused = (found: string, expected: string, advice: string): string =>
  `Found ${found}; expected ${expected}; ${advice}.`;

const millions = (count: number): string => `${count / 1e6} million`;

export const IMAGES = {
  unreadable: refused(
    "a file that cannot be read any more",
    "a file",
    "choose it again; it may have been moved, changed or removed",
  ),
  empty: refused("an empty file", "a whole one", "copy or export the file again"),
  unknownKind: (kind: string | null) =>
    refused(
      kind ?? "no known kind of image",
      "a PNG, JPEG, WebP, DICOM or NIfTI file",
      kind ? "convert it to PNG without loss" : "choose another file, or export this one again",
    ),
  kinds: {
    tiff: "a TIFF",
    bmp: "a BMP",
    gif: "a GIF",
    pdf: "a PDF",
  },
  broken: (reason: string) =>
    refused(`a broken picture (${reason})`, "a whole one", "copy or export the file again"),
  animation: refused("an animation", "one picture", "save each of its pictures as its own file"),
  noPixels: (width: number, height: number) =>
    refused(`a picture of ${width}x${height} pixels`, "at least one", "export it again"),
  tooManyPixels: (width: number, height: number, most: number) =>
    refused(
      `a picture of ${width}x${height} pixels`,
      `at most ${millions(most)} values`,
      "cut it into parts or scale it down",
    ),
  tooManyBytes: (most: number) =>
    refused(
      "a larger picture file",
      `at most ${most / 1e9} GB`,
      "cut it into parts or scale it down",
    ),
  jpegChannels: (channels: number) =>
    refused(`a JPEG with ${channels} channels`, "grey or RGB", "convert it to grey or RGB"),
  noEntry: (index: number, entries: number) =>
    refused(
      `the palette index ${index}`,
      `0 to ${entries - 1}, the entries of the palette`,
      "export the picture again",
    ),
  onlyOpacity: refused(
    "a picture that lies in its opacity alone",
    "grey, or red, green and blue",
    "save it as an opaque grey or RGB picture",
  ),
  colourPicture: refused(
    "a colour picture, 3 channels that differ",
    "1 channel",
    "convert it to grey, for example by saving it as greyscale in an image editor",
  ),
  otherChannels: (found: number, expected: number) =>
    refused(
      `${found} channel(s)`,
      `${expected}`,
      "give the channels that the model was made for",
    ),
  otherDims: (found: number) =>
    found === 2
      ? refused(
          "a single flat image, such as an X-ray",
          "a volume of many slices, such as CT or MR, which this model is for",
          "open a whole DICOM series or a NIfTI volume, or a model of flat images",
        )
      : refused(
          "a volume of many slices, such as CT or MR",
          "a single flat image, such as an X-ray, which this model is for",
          "open a single image, or a model of volumes",
        ),
  noMemory: refused(
    "too little memory in this browser",
    "room for the whole image",
    "close other tabs, or scale the image down",
  ),
  changedPixels: refused(
    "a browser that changes the pixels which pages read",
    "the picture's own pixels",
    "open a PNG, which is not affected, or switch off the protection against fingerprinting here",
  ),
  notTurned: (orientation: number) =>
    `The file has a note to show it turned or mirrored (orientation ${orientation}); pixels are read as they are stored.`,
  opacityLeftOut: "Partly transparent; its colours are used as if they were opaque.",
  greyInColour: "Stored in colour with three equal channels; read as grey.",
  madeGrey: "A picture in colour, made grey at your request; the model was not trained on such.",
} as const;

export const APP = {
  title: (purpose: string) => `${purpose} – LightM-UNet`,
  notice: "For research only. Not a medical device. Look at every mask before you use it.",
  modelCard: "Model card",
  licences: "Licences",
  missingText: "This model came without a card.",
  close: "Close",
  starting: "Loading the model …",
  ready: "Ready.",
  drop: {
    title: (dims: 2 | 3) => (dims === 2 ? "Drop an image here" : "Drop a volume here"),
    kinds: (dims: 2 | 3) =>
      dims === 2
        ? "PNG, JPEG, WebP, DICOM or a NIfTI slice; several at once are fine. You can also paste."
        : "NIfTI, or a DICOM series as files or as one zip; several at once are fine.",
    choose: "Choose files",
    photograph: "Take a photograph",
    privacy: "Nothing is uploaded: the network runs in this page, on this device.",
    release: "Release to open",
  },
  computer: {
    title: "Segment",
    device: "on this device",
    server: (host: string) => `on the server ${host}`,
    onDevice: "Images stay on this device.",
    onServer: (host: string) =>
      `Images are sent to ${host}, which keeps none of them. They are read and shown here.`,
    tokenTitle: "This server asks for its token. Whoever runs the server has it.",
    token: "Token",
    tokenUse: "Use it",
    tokenCancel: "Cancel",
    noToken: refused("no token", "the server's token", "try again, or segment on this device"),
    tooLarge: (bytes: number, most: number) =>
      refused(
        `a file of ${(bytes / 1e6).toFixed(0)} MB`,
        `at most ${(most / 1e6).toFixed(0)} MB, which the server takes`,
        "segment it on this device, or send a smaller image",
      ),
    noAnswer: (host: string) =>
      refused(
        `no answer from ${host}`,
        "a server that runs",
        "check the connection and try again, or segment on this device",
      ),
  },
  addFiles: "Open more",
  cases: {
    title: "Cases",
    region: "Cases and their measurements",
    name: "Case",
    state: "State",
    waiting: "waiting",
    reading: "reading",
    sending: "sending",
    running: "segmenting",
    done: "done",
    unlike: "check",
    failed: "not used",
    cancelled: "cancelled",
    remove: (name: string) => `Remove ${name}`,
    show: (name: string) => `Show ${name}`,
    csv: "Download table (CSV)",
    clear: "Remove all",
    total: (count: number) => (count === 1 ? "1 case" : `${count} cases`),
  },
  progress: {
    label: "Progress",
    reading: (name: string) => `Reading ${name}`,
    sending: (name: string) => `Sending ${name}`,
    running: (name: string) => `Segmenting ${name}`,
    remaining: (seconds: number) =>
      seconds < 1 ? "less than a second left" : `about ${duration(seconds)} left`,
    cancel: "Cancel",
  },
  result: {
    title: "Result",
    none: "Open an image to see its segmentation here.",
    nothingFound: "No pixel was labelled.",
    took: (seconds: number, computer: string) => `${seconds.toFixed(2)} s ${computer}`,
    onDevice: (build: string) => `on this device (${build})`,
    unlikeTitle: "Check this result with care.",
    unlike: (score: number, limit: number, feature: string) =>
      `The image is unlike the images that the model was trained on: it differs from them ${score.toFixed(score < 10 ? 1 : 0)} times as much as usual (up to ${limit.toFixed(1)} times is normal), most in its ${feature}. The outline may be wrong.`,
    noPixelSize: "The file does not tell the size of a pixel, so areas are in pixels.",
    makeGrey: "Convert to grey and segment",
    retry: "Try again",
    failedTitle: "This file was not used.",
    remarksTitle: "Remarks",
  },
  view: {
    title: "View",
    opacity: "Overlay",
    outline: "Outline",
    brightness: "Brightness",
    contrast: "Contrast",
    reset: "Reset view",
    zoomIn: "Zoom in",
    zoomOut: "Zoom out",
    fit: "Fit",
    help: "Arrow keys move the image, plus and minus zoom, 0 fits it into the frame.",
    image: (name: string, findings: string) =>
      findings ? `${name}, with ${findings} drawn over it` : name,
  },
  downloads: {
    title: "Download",
    view: "This view (PNG)",
    mask: "Mask, label numbers (PNG)",
    colouredMask: "Mask, coloured (PNG)",
    failed: (reason: string) => `The file could not be written: ${reason}`,
  },
  units: {
    squareCm: (area: number) => `${digits(area)} cm²`,
    ml: (volume: number) => `${digits(volume)} ml`,
    pixels: (count: number) => `${count.toLocaleString("en")} px`,
    voxels: (count: number) => `${count.toLocaleString("en")} voxels`,
    share: (share: number) => `${(100 * share).toFixed(1)} %`,
  },
  csv: {
    name: "case",
    state: "state",
    message: "message",
    labelled: (label: string, unit: string) => `${label} (${unit})`,
    pixels: "pixels",
    share: "share of the image",
    unlike: "unlike the training images",
    score: "score",
    limit: "usual up to",
    file: "measurements.csv",
  },
  problems: {
    noWebAssembly:
      "This browser cannot run the network: it lacks WebAssembly with SIMD. Safari 16.4, Chrome 91, Firefox 89 and later versions have it.",
    noModel: (reason: string) => `The model could not be loaded: ${reason}`,
    unexpected: (reason: string) => `Something went wrong: ${reason.replace(/\.$/, "")}. The page goes on.`,
    notKept: (host: string) =>
      `${host} does not answer, and this browser does not keep the network's files yet; try again when it answers`,
    nothingToPaste: "The clipboard holds no image.",
    cancelled: "Cancelled.",
  },
} as const;

function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  return whole < 90 ? `${whole} s` : `${Math.ceil(whole / 60)} min`;
}

/** The page: takes files, lets the worklist segment them, and shows one case at a time. */

import type { Engine, ModelDescription } from "../engine/engine";
import type { MedicalImage } from "../images/image";
import type { ImageSource } from "../images/reader";
import { sourcesOf } from "../images/readers";
import type { MaskWriter } from "../writers/writer";
import { ServerNetwork } from "../server/server_network";
import { isUnsettled, type Case } from "./case";
import { CaseTable } from "./case_table";
import { type Computer, computerChoice, rememberedComputer } from "./computer_choice";
import { slider } from "./controls";
import { casesAsCsv } from "./csv";
import { byId, h } from "./dom";
import { camera, chooser, listenForFiles } from "./intake";
import { Progress } from "./progress";
import { resultOf, type ResultActions } from "./result_panel";
import { unpackLabels } from "./run_lengths";
import { save, stem } from "./save";
import { APP } from "./texts";
import type { Viewer } from "./viewer";
import { viewerFor } from "./viewers";
import { Worklist } from "./worklist";

const OPACITY = 0.3;

export class App {
  private readonly worklist: Worklist;
  private readonly table: CaseTable;
  private readonly progress: Progress;
  private readonly stage = h("div", { class: "stage" });
  private readonly result = h("div", { class: "result" });
  private readonly viewerControls = h("div");
  private readonly opacity = slider(APP.view.opacity, 0, 1, OPACITY, (value) =>
    this.viewer?.setOpacity(value),
  );
  private readonly status = byId("status");
  private shown: Case | null = null;
  private image: MedicalImage | null = null;
  private viewer: Viewer | null = null;
  private viewerLoader: unknown = null;
  /** Counts what is to be shown, so that a slower earlier one does not come after it. */
  private turn = 0;

  /**
   * @param openEngine loads the model.
   * @param server that sent the page and runs the model too; null where there is none.
   */
  constructor(
    private readonly model: ModelDescription,
    openEngine: () => Promise<Engine>,
    private readonly server: ServerNetwork | null,
  ) {
    this.worklist = new Worklist(model, openEngine, (item) => this.changed(item));
    this.progress = new Progress(() => this.worklist.cancel());
    this.table = new CaseTable(model, {
      show: (item) => void this.show(item),
      remove: (item) => this.worklist.remove(item),
      clear: () => this.worklist.clear(),
      csv: () => this.saveTable(),
    });
    const take = (files: readonly File[]): void => void this.open(files);
    listenForFiles(take, () => this.say(APP.problems.nothingToPaste));
    byId("main").replaceChildren(
      ...this.computerSwitch(),
      this.welcome(take),
      h(
        "div",
        { class: "work" },
        h("div", { class: "viewing" }, this.stage, this.progress.element),
        h(
          "section",
          { class: "panel side", "aria-label": APP.result.title },
          h(
            "div",
            { class: "panel-head" },
            h("h2", {}, APP.result.title),
            h("span", { class: "grow" }),
            chooser(APP.addFiles, take, { multiple: true, class: "button" }),
          ),
          this.result,
          h(
            "div",
            { class: "view-controls" },
            h("h3", {}, APP.view.title),
            this.opacity.element,
            this.viewerControls,
          ),
        ),
      ),
      this.table.element,
    );
    this.refresh();
    this.say(APP.ready);
  }

  /** Only where there is a server to choose. */
  private computerSwitch(): readonly HTMLElement[] {
    if (!this.server) return [];
    const { server, worklist } = this;
    const use = (computer: Computer): void => {
      worklist.server = computer === "server" ? server : null;
      document.body.classList.toggle("on-server", computer === "server");
    };
    const chosen = rememberedComputer();
    use(chosen);
    return [computerChoice(server.host, chosen, use)];
  }

  /** The first screen, before there is any case. */
  private welcome(take: (files: readonly File[]) => void): HTMLElement {
    const { title, kinds, choose, privacy } = APP.drop;
    return h(
      "section",
      { class: "welcome", "aria-labelledby": "welcome-title" },
      h(
        "div",
        { class: "drop" },
        h("div", { class: "drop-sign", "aria-hidden": "true" }),
        h("h2", { id: "welcome-title" }, title(this.model.dims)),
        h("p", { class: "soft" }, kinds(this.model.dims)),
        h(
          "div",
          { class: "buttons" },
          chooser(choose, take, { multiple: true, class: "button main" }),
          this.model.dims === 2 && camera(take),
        ),
      ),
      h("p", { class: "privacy" }, privacy),
    );
  }

  private async open(files: readonly File[]): Promise<void> {
    if (files.length === 0) return;
    let sources: readonly ImageSource[];
    try {
      sources = await sourcesOf(files, this.model);
    } catch (error) {
      this.say(APP.problems.unexpected(reasonOf(error)));
      return;
    }
    const [first] = this.worklist.add(sources);
    const isBusy = this.shown && this.worklist.cases.includes(this.shown);
    if (first && (!isBusy || sources.length === 1)) await this.show(first);
  }

  private async show(item: Case | null): Promise<void> {
    const turn = ++this.turn;
    this.shown = item;
    this.image = null;
    this.table.update(this.worklist.cases, item);
    if (item && item.problem === null) {
      try {
        const image = item.result || item.image ? await this.worklist.imageOf(item) : null;
        if (turn !== this.turn) return;
        this.image = image;
        await this.draw(item, image);
      } catch (error) {
        if (turn !== this.turn) return;
        this.image = null;
        this.say(APP.problems.unexpected(reasonOf(error)));
      }
    }
    if (turn !== this.turn) return;
    document.body.classList.toggle("has-view", this.image !== null);
    this.result.replaceChildren(
      ...resultOf(item, this.image, this.actions),
    );
  }

  private async draw(item: Case, image: MedicalImage | null): Promise<void> {
    const load = image && viewerFor(image);
    if (!image || !load) return;
    if (this.viewerLoader !== load) {
      this.viewer?.dispose();
      this.viewer = null;
      this.viewerLoader = load;
      const makeViewer = await load();
      this.viewer = await makeViewer(this.stage);
      this.viewer.setOpacity(this.opacity.value());
      this.viewerControls.replaceChildren(...(this.viewer.controls ? [this.viewer.controls] : []));
    }
    const { result } = item;
    const segmentation = result && {
      labels: unpackLabels(result.labels),
      unlike: result.unlike,
      seconds: result.seconds,
    };
    await this.viewer?.show(image, segmentation, this.model);
  }

  private changed(item: Case | null): void {
    this.progress.show(this.worklist.cases);
    if (!item) {
      if (this.shown && !this.worklist.cases.includes(this.shown)) {
        void this.show(this.worklist.cases.at(-1) ?? null);
      }
      this.refresh();
      return;
    }
    this.table.updateRow(item, item === this.shown);
    const isSettled = !isUnsettled(item);
    if (item === this.shown && (isSettled || item.progress === 0)) void this.show(item);
    if (isSettled) this.say(`${item.name}: ${this.outcome(item)}`);
  }

  private outcome({ state, problem, result }: Case): string {
    if (problem !== null) return problem;
    const warning = result?.unlike ? `, ${APP.result.unlikeTitle}` : "";
    return APP.cases[state] + warning;
  }

  private refresh(): void {
    document.body.classList.toggle("has-cases", this.worklist.cases.length > 0);
    this.table.update(this.worklist.cases, this.shown);
  }

  private readonly actions: ResultActions = {
    again: (item) => this.worklist.again(item),
    asGrey: (item) => this.worklist.again(item, item.asGrey ?? item.source),
    saveMask: (item, writer) => void this.saveMask(item, writer),
    saveView: (item) => void this.saveView(item),
  };

  private async saveMask(item: Case, writer: MaskWriter): Promise<void> {
    if (!item.result) return;
    try {
      const image = await this.worklist.imageOf(item);
      const labels = unpackLabels(item.result.labels);
      save(await writer.write(image, labels, this.model), stem(item.name) + writer.ending);
    } catch (error) {
      this.say(APP.downloads.failed(reasonOf(error)));
    }
  }

  private async saveView(item: Case): Promise<void> {
    try {
      if (this.viewer) save(await this.viewer.snapshot(), `${stem(item.name)}_view.png`);
    } catch (error) {
      this.say(APP.downloads.failed(reasonOf(error)));
    }
  }

  private saveTable(): void {
    const text = casesAsCsv(this.worklist.cases, this.model);
    save(new Blob([text], { type: "text/csv;charset=utf-8" }), APP.csv.file);
  }

  /** Whether there is no case yet, so that nothing is lost by loading the page again. */
  get isIdle(): boolean {
    return this.worklist.cases.length === 0;
  }

  /** Told to everyone, to screen readers too. */
  say(text: string): void {
    this.status.textContent = text;
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

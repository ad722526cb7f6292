/** Whether `lightm-unet serve` has sent this page, which can then segment images itself. */

/** The server's name for the page's model; null where the page came from elsewhere. */
export function modelOfServer(): string | null {
  const mark = document.querySelector<HTMLMetaElement>('meta[name="lightm-unet-server"]');
  return mark?.content || null;
}

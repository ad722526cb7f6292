/** Registers the service worker: the page then works offline, and with threads on any server. */

/** The message that tells a waiting version to take over. */
export const TAKE_OVER = "take over";
const RELOADED = "reloaded for threads";

/**
 * Starts it, where the browser lets the page have one.
 *
 * A new version takes over only while there is no work to lose; otherwise at the next visit.
 */
export async function worksOffline(isIdle: () => boolean): Promise<void> {
  if (!("serviceWorker" in navigator) || !isSecureContext) return;
  const { serviceWorker } = navigator;
  const wasControlled = serviceWorker.controller !== null;
  serviceWorker.addEventListener("controllerchange", () => {
    const isNewVersion = wasControlled;
    if (!isIdle() || (!isNewVersion && !mayReloadForThreads())) return;
    location.reload();
  });
  try {
    const registration = await serviceWorker.register(new URL("sw.js", document.baseURI));
    const offer = (worker: ServiceWorker | null): void => {
      if (worker?.state === "installed" && wasControlled && isIdle()) worker.postMessage(TAKE_OVER);
    };
    offer(registration.waiting);
    registration.addEventListener("updatefound", () => {
      const worker = registration.installing;
      worker?.addEventListener("statechange", () => offer(worker));
    });
    if (wasControlled) await registration.update();
  } catch (error) {
    // The server cannot be reached, or the browser keeps nothing, as some do in private windows.
    console.info("The page's files are as they were:", error);
  }
}

/** Threads need two headers that the service worker adds: from the second load on. */
function mayReloadForThreads(): boolean {
  if (crossOriginIsolated || sessionStorage.getItem(RELOADED)) return false;
  sessionStorage.setItem(RELOADED, "yes");
  return true;
}

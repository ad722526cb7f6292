/** Starts the page. */

import { App } from "./app/app";
import { byId } from "./app/dom";
import { describeModel } from "./app/model_description";
import { worksOffline } from "./app/offline";
import { site } from "./app/site";
import { textButton } from "./app/text_dialog";
import { APP } from "./app/texts";
import { canRun, openEngine } from "./engine/open";
import { ServerNetwork } from "./server/server_network";
import { modelOfServer } from "./server/server_page";

async function start(): Promise<void> {
  byId("notice").textContent = APP.notice;
  byId("status").textContent = APP.starting;
  byId("actions").append(textButton(APP.modelCard, "model-card"));
  byId("footer").append(textButton(APP.licences, "licences", "link"));
  if (!canRun()) throw new Error(APP.problems.noWebAssembly);
  const files = await site.model();
  const model = describeModel(files.json);
  byId("purpose").textContent = model.purpose;
  document.title = APP.title(model.purpose);
  const name = modelOfServer();
  const server = name === null ? null : new ServerNetwork(name);
  const app = new App(model, () => openEngine(files, site), server);
  addEventListener("unhandledrejection", ({ reason }) => app.say(APP.problems.unexpected(String(reason))));
  if (!ONE_FILE) await worksOffline(() => app.isIdle);
}

start().catch((error: unknown) => {
  const reason = error instanceof Error ? error.message : String(error);
  const text = reason === APP.problems.noWebAssembly ? reason : APP.problems.noModel(reason);
  byId("status").textContent = text;
  byId("main").textContent = text;
});

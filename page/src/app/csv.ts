/** The table of all cases as CSV (RFC 4180), for spreadsheets. */

import type { ModelDescription } from "../engine/engine";
import type { Case } from "./case";
import { APP } from "./texts";

export function casesAsCsv(cases: readonly Case[], model: ModelDescription): string {
  const { csv, cases: states } = APP;
  const unit = model.dims === 2 ? "cm2" : "ml";
  const names = model.labels.slice(1).map(({ name }) => name);
  const head = [
    csv.name,
    csv.state,
    ...names.flatMap((name) => [
      csv.labelled(name, unit),
      csv.labelled(name, csv.pixels),
      csv.labelled(name, csv.share),
    ]),
    csv.unlike,
    csv.score,
    csv.limit,
    csv.message,
  ];
  const rows = cases.map(({ name, state, result, problem }) => [
    name,
    states[state],
    ...names.flatMap((_, index) => {
      const found = result?.measures[index];
      return found ? [found.size ?? "", found.count, found.share] : ["", "", ""];
    }),
    result ? (result.unlike ? "yes" : "no") : "",
    result?.unlike?.score ?? "",
    result?.unlike?.limit ?? "",
    problem ?? "",
  ]);
  return [head, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

function cell(value: string | number): string {
  if (typeof value === "number") return String(Number(value.toPrecision(9)));
  // A spreadsheet would compute a file's name that begins like a formula.
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Names of cases, so that two of them are never mixed up, nor the files made from them. */

import { stem } from "./save";

/**
 * A name that no other case has, nor that name with another ending: `a.png`, then `a (2).png`.
 *
 * @param taken the names of the other cases.
 */
export function uniqueName(name: string, taken: readonly string[]): string {
  const stems = new Set(taken.map((each) => stem(each).toLowerCase()));
  const own = stem(name);
  if (!stems.has(own.toLowerCase())) return name;
  let number = 2;
  while (stems.has(`${own} (${number})`.toLowerCase())) number++;
  const at = name.lastIndexOf(own) + own.length;
  return `${name.slice(0, at)} (${number})${name.slice(at)}`;
}

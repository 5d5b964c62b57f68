/**
 * What came from outside and claims to be a document of the service. Its keys are those of the document's type, so that
 * one that the service does not send is an error of tsc; of its values nothing is believed.
 */

/** Of a union it has the keys of all. */
export type Claimed<T> = { readonly [K in T extends unknown ? keyof T : never]?: unknown };

/** `raw` as a document of which nothing is known to be there; what is no object is an empty one. */
export function claimed<T>(raw: unknown): Claimed<T> {
  return typeof raw === "object" && raw !== null && !Array.isArray(raw) ? (raw as Claimed<T>) : {};
}

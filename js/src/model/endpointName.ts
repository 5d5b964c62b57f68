/** Names of endpoints, by the SDK's rule (`jupyter_mltrain/core/deployment.py` has the same). */

/** Why the name is not allowed; "" where it is. */
export function nameProblem(name: string): string {
  if (name.length < 3 || name.length > 32) {
    return "3 to 32 characters";
  }
  if (!/^[a-z]/.test(name)) {
    return "It begins with a small letter";
  }
  if (!/^[-a-z0-9]*$/.test(name)) {
    return "Small letters, digits and “-” alone";
  }
  return name.endsWith("-") ? "It ends with a letter or digit" : "";
}

/** A name made from a model's: `TF_MNIST.v2` → `tf-mnist-v2`. */
export function suggestedName(model: string): string {
  const plain = model
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "");
  const begun = /^[a-z]/.test(plain) ? plain : `m-${plain}`;
  return (begun.length < 3 ? `${begun}-model` : begun).slice(0, 32).replace(/-+$/, "");
}

/** A positive number as it is typed; null for nothing, NaN for what is none. */
export function positive(typed: string): number | null {
  const plain = typed.trim();
  if (plain === "") {
    return null;
  }
  const value = Number(plain);
  return value > 0 && Number.isFinite(value) ? value : Number.NaN;
}

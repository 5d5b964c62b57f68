/** What is known of something, a label and a value each; what is empty is left out. */
export function Facts({ rows }: { rows: readonly (readonly [string, string])[] }) {
  return (
    <>
      {rows
        .filter(([, value]) => value !== "")
        .flatMap(([label, value]) => [<dt key={label}>{label}</dt>, <dd key={`${label} value`}>{value}</dd>])}
    </>
  );
}

import type { Endpoint } from "../../api/endpoint";
import { curlOf } from "../../model/endpointAnswer";
import { t } from "../../model/language";
import { CopyButton } from "../controls";

/** How to ask the endpoint from elsewhere, how it is made, and how its model is served without us. */
export function Uses({ state }: { state: Endpoint }) {
  const { curl, python, serve, deploy } = state.snippets;
  const parts: [string, string][] = [
    [t("In a terminal"), curl],
    [t("In Python"), python],
    [t("The cell that makes it"), deploy],
    [t("Without us"), serve],
  ];
  return (
    <div class="mlt-uses">
      {state.authEnabled && (
        <p class="mlt-dim">
          {t(
            "KEY stands for the endpoint's key: service.get_keys() gives it in Python; it is never shown here.",
          )}
        </p>
      )}
      {parts
        .filter(([, text]) => text !== "")
        .map(([label, text]) => (
          <section key={label} aria-label={label}>
            <div class="mlt-row">
              <b>{label}</b>
              <span class="mlt-gap" />
              <CopyButton text={() => (text === curl ? curlOf(state) : text)}>{t("Copy")}</CopyButton>
            </div>
            <pre class="mlt-cell">{text}</pre>
          </section>
        ))}
    </div>
  );
}

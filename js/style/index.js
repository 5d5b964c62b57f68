// One style sheet for both renderers of the card; the static HTML inlines the same file.
import "../../jupyter_mltrain/widgets/card.css";
import "./live.css";
import "./charts.css";
import "./endpoint.css";
import "./logged.css";
import "./ranks.css";

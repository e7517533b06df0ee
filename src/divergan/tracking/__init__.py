"""MLflow, and nothing else: every training and every evaluation of a study, with its curves and pictures.

Tracking is a view, never the truth: that is a run's own history file. So a training goes on when tracking cannot
(one warning on stderr), and `divergan track` rebuilds what is missing with `record`.

Environment: MLFLOW_TRACKING_URI names another database or server than `<root>/mlflow.db`; DIVERGAN_TRACKING=off
turns tracking off, and MLflow is then never imported.
"""

from divergan.tracking.database import import_mlflow, is_off, page_of, ui_command, warn, without_secrets
from divergan.tracking.finished import Finished, record
from divergan.tracking.live import RECIPE_TAG, Live, run
from divergan.tracking.views import Study, addresses

__all__ = [
    "RECIPE_TAG",
    "Finished",
    "Live",
    "Study",
    "addresses",
    "import_mlflow",
    "is_off",
    "page_of",
    "record",
    "run",
    "ui_command",
    "warn",
    "without_secrets",
]

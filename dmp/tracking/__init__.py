"""MLflow, fed from the files of runs that have ended; no torch.

The files are the truth and MLflow a view of them: a job never waits for a server, and handing over
the same folders again changes nothing. MLflow is imported when it is used, since that takes
seconds.
"""

from dmp.extras import needs

needs("track", "mlflow")

from dmp.tracking.ingest import FoldersError, IngestReport, ingest
from dmp.tracking.parent import Parent

__all__ = ["FoldersError", "IngestReport", "Parent", "ingest"]

"""Write what scale paper-smoke needs: small images in the real formats, and tiny random models.

python .ci/small_data.py data
snakemake --cores all tables --config scale=paper-smoke
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from real_formats import write_coco, write_folder, write_tars, write_webdataset
from tiny_models import write_autoencoder, write_clip, write_unet


def write_all(data: Path) -> None:
    """Write datasets and models below ``data``."""
    write_folder(data / "ffhq", 48)
    write_tars(data / "imagenet", classes=5, per_class=10)
    write_coco(data / "coco", 48)
    write_webdataset(data / "laion", 32)
    write_autoencoder(data / "models" / "autoencoder")
    write_clip(data / "models" / "text-encoder")
    write_unet(data / "models" / "pipeline" / "unet")


if __name__ == "__main__":
    write_all(Path(sys.argv[1] if len(sys.argv) > 1 else "data"))
    print("written; try: snakemake --cores all tables --config scale=paper-smoke")

"""Images, labels, and the stream of training examples."""

from dmp.extras import needs

needs("bench", "PIL", "filelock", "tqdm")

"""Images, labels, and the stream of training examples."""

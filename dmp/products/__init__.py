"""What the jobs of a scale make, each with the fingerprint that it was made from; no torch.

A job that has made something leaves a record of its fingerprint beside it. These records alone say
what is there already, whatever became of the files' times on the way.
"""

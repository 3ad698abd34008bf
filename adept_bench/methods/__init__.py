"""Methods of continual pretraining: each a structure edit, a trainable set, a rate policy and a data mix."""

"""Public data sets whose documents are parted by a rule of ours, so that what is measured was never trained on."""

"""What a cell needs before it runs: parameters, memory, operations and hours, from the configuration alone."""

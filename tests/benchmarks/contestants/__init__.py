"""What is compared: each module runs the same workloads its own way, and lists them in `WORKLOADS`."""

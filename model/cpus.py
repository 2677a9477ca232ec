"""The number of CPUs. This module does not need torch."""

from loky import cpu_count


def available_cpus() -> int:
    """Number of CPUs that this process may use: the minimum of the machine, the CPU affinity and the cgroup's quota."""
    return int(cpu_count())

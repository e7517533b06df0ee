"""Names that no file may have."""

# Devices, by these names and whatever follows the first dot, on Windows.
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}

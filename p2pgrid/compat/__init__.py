"""Old names for those who come from PySyft; nothing of p2pgrid uses them."""

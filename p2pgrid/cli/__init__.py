"""The command ``p2pgrid``: thin words over ``p2pgrid.client``.

``main`` is the entry and the border for errors; ``datasets``, ``domain``, ``network``,
``networks`` and ``wallet`` hold a group of commands each, ``doctor`` a command; ``nodes`` what
domains and networks share; ``output`` what is printed.
Nothing heavy is imported before a command needs it, so that ``--help`` answers at once.
"""

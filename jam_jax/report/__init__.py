"""What a run shows: the terminal table, the self-contained page, TensorBoard events; pure functions of its results.

Submodules are imported by name (`from jam_jax.report import table`): matplotlib and jinja2 load with the page only.
"""

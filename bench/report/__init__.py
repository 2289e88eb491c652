"""Reports: pure functions of the tables, like the figures.

python -m bench report             # README.md blocks, results/README.md, results/report.html
python -m bench report --check     # writes nothing; fails naming what is not up to date
"""

from ._command import report_main
from ._pages import make_pages, write_pages
from ._readme import BLOCKS, check_readme, update_readme

__all__ = ["BLOCKS", "check_readme", "make_pages", "report_main", "update_readme", "write_pages"]

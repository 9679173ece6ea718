from .run_table import Tabling as Tabling
from .table import TableFile as TableFile, TableSpec as TableSpec, find_table as find_table

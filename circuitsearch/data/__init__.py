"""What people own, read into tasks: files and tables of any layout, lists, data frames, datasets, chats."""

from __future__ import annotations

from circuitsearch.data.advice import advice as advice
from circuitsearch.data.choosing import check_columns as check_columns
from circuitsearch.data.encoded import EncodedRow as EncodedRow
from circuitsearch.data.encoded import EncodedRows as EncodedRows
from circuitsearch.data.encoded import encoded as encoded
from circuitsearch.data.frames import dataset_records as dataset_records
from circuitsearch.data.frames import frame_records as frame_records
from circuitsearch.data.frames import list_records as list_records
from circuitsearch.data.reading import SUFFIXES as SUFFIXES
from circuitsearch.data.reading import read_records as read_records
from circuitsearch.data.reading import with_corrupt_file as with_corrupt_file
from circuitsearch.data.records import Records as Records
from circuitsearch.data.refusals import SHOWN as SHOWN
from circuitsearch.data.refusals import Refusal as Refusal
from circuitsearch.data.refusals import RowsRefused as RowsRefused
from circuitsearch.data.row import Row as Row

"""What is said of errors in a window."""

import pytest

from objclass.errors import UsageError
from objclass.napari.messages import messages_in_words, sentence


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("--min_size 11 is above --max_size 1", "min size 11 is above max size 1"),
        ("raw and labels differ along x (wrong --input_axes?)", "raw and labels differ along x (wrong axes?)"),
        ("leave them out, with their 9 labels (--allow_misses)",
         "leave them out, with their 9 labels (Open without them)"),
        ("raise --max_memory, or use hysteresis", "raise the memory limit, or use hysteresis"),
        ("is in another file, a.h5: give the path of that file, or --follow_links",
         "is in another file, a.h5: give the path of that file, or objclass --follow_links"),
        ("a part of it has an unexpected form (--debug shows which)",
         "a part of it has an unexpected form (objclass inspect --debug shows which)"),
        ("no table is written: a.csv exists already: give --table_filename",
         "no table is written: a.csv exists already: give the path of the table"),
        ("--output_filename_format '{nick}': there is no placeholder {nick}",
         "path of the images '{nick}': there is no placeholder {nick}"),
        ("give --pixel_size 0.65um, or --table_columns ilastik", "give pixel size 0.65um, or columns ilastik"),
    ],
)  # fmt: skip
def test_options_are_said_in_words(message, said):
    assert sentence(UsageError(message)) == said
    with pytest.raises(UsageError) as fault, messages_in_words():
        raise UsageError(message)
    assert str(fault.value) == said

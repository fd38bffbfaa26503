"""Version of the readers of clips."""

READER_VERSION = "4"
"""Changes whenever some file gives other pixels or another number of frames than before.

It is a part of the keys of the feature store and of signatures, so that neither stored features nor records
from before mix with those from after. Records without it were made by version 1.

- 2: frames of animations are counted as they are stored, and animated PNG is composed by FFmpeg. Clips with
  damage that FFmpeg conceals are bad clips.
- 3: mirrored videos and EXIF orientations are shown as players do, and transparent parts of VP8 and VP9 are
  black. Windows of videos with a palette have its colours, and frames that a cut H.264 stream never shows are
  not counted.
- 4: the pages of a TIFF file are frames. Images of one folder are the frames of several clips if their
  names say so, and decimal fractions, signs and an omitted first number are read as numbers. Floats
  slightly outside the stated range are clamped. ASF, MXF and Y4M files that were cut off are bad clips, and
  raw streams state no rate. Videos of more than 8 bits are converted to RGB as the ffmpeg program does.
  Members of zip archives and records of `.pt` files whose checksum does not match, and clips by
  `write_clips` whose pixels do not match theirs, are bad clips. The transparent level of a PNG with 16-bit
  grey is black.
"""

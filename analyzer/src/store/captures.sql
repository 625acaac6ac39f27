-- What capture files were: known again when they have grown, and when others follow them.

ALTER TABLE source ADD COLUMN file_len INTEGER;      -- bytes of the capture file; null for segments, and where it is not known
ALTER TABLE source ADD COLUMN packets INTEGER;       -- packets of the capture; null likewise
ALTER TABLE source ADD COLUMN chain_captures INTEGER; -- captures that were read by one meter, up to this one
ALTER TABLE source ADD COLUMN chain BLOB;            -- stands for their packets

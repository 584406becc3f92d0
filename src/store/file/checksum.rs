//! A checksum of a whole Parquet file, in the file itself: Parquet's own are of pages, and the library writes none.
//!
//! It stands in the footer as eight hexadecimal digits, and is the CRC-32 of the file with eight zeros in their place.

use crate::store::StoreError;
use crc32fast::Hasher;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

/// The key in the file's metadata.
pub const KEY: &str = "sweeplake.crc32";

/// What stands in the place of a checksum before it is known.
pub const UNKNOWN: &str = "00000000";

/// What is larger is looked through by `verify` alone: reading all of it would cost more than most queries.
const LARGEST: u64 = 256 << 20;

/// The last bytes of a Parquet file: the footer's length and the magic number.
const TAIL: usize = 8;

/// Puts the checksum of a file that was just written into it.
pub fn seal(file: &mut File) -> std::io::Result<()> {
    let Some(place) = place_in(file)? else { return Ok(()) };
    let checksum = sum(file, &place)?;
    file.seek(SeekFrom::Start(place.start))?;
    file.write_all(format!("{checksum:08x}").as_bytes())?;
    file.seek(SeekFrom::End(0)).map(|_| ())
}

/// Refuses a file that is not as it was written; one without a checksum is taken as it is.
pub fn check(path: &Path) -> Result<(), StoreError> {
    match path.metadata().is_ok_and(|metadata| metadata.len() <= LARGEST) {
        true => check_whole(path),
        false => Ok(()),
    }
}

/// The same, however large the file is.
pub fn check_whole(path: &Path) -> Result<(), StoreError> {
    let mut file = crate::files::open(path, crate::files::Links::Refuse).map_err(StoreError::io(path))?;
    let Some(place) = place_in(&mut file).map_err(StoreError::io(path))? else { return Ok(()) };
    let mut told = [0; UNKNOWN.len()];
    file.seek(SeekFrom::Start(place.start)).and_then(|_| file.read_exact(&mut told)).map_err(StoreError::io(path))?;
    let found = sum(&mut file, &place).map_err(StoreError::io(path))?;
    agree(&told, found, path)
}

/// The same of a file that was read.
pub fn check_bytes(bytes: &[u8], path: &Path) -> Result<(), StoreError> {
    let Some((before, told, behind)) = around_checksum(bytes) else { return Ok(()) };
    let mut hasher = Hasher::new();
    hasher.update(before);
    hasher.update(UNKNOWN.as_bytes());
    hasher.update(behind);
    agree(told, hasher.finalize(), path)
}

/// What stands before the checksum of a whole file, the checksum, and what stands behind it.
fn around_checksum(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let footer = footer_of(bytes)?;
    let place = place_of(bytes.get(footer.clone())?)?;
    let (before, rest) = bytes.split_at_checked(footer.start + place.start)?;
    let (told, behind) = rest.split_at_checked(place.len())?;
    Some((before, told, behind))
}

fn agree(told: &[u8], found: u32, path: &Path) -> Result<(), StoreError> {
    match told == format!("{found:08x}").as_bytes() {
        true => Ok(()),
        false => Err(StoreError::parquet(path)("checksum mismatch: it was changed after it was written")),
    }
}

/// Where in a whole file its footer stands.
fn footer_of(bytes: &[u8]) -> Option<Range<usize>> {
    let end = bytes.len().checked_sub(TAIL)?;
    let length = u32::from_le_bytes(bytes.get(end..end + 4)?.try_into().ok()?);
    Some(end.checked_sub(length as usize)?..end)
}

/// Where in a footer the checksum stands.
fn place_of(footer: &[u8]) -> Option<Range<usize>> {
    let key = memchr::memmem::rfind(footer, KEY.as_bytes())? + KEY.len();
    // Behind the key: which field follows, and how long it is.
    let start = key + 2;
    footer.get(start..start + UNKNOWN.len()).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    Some(start..start + UNKNOWN.len())
}

/// Where in a file the checksum stands; nothing where it has none.
fn place_in(file: &mut File) -> std::io::Result<Option<Range<u64>>> {
    let size = file.seek(SeekFrom::End(0))?;
    let Some(end) = size.checked_sub(TAIL as u64) else { return Ok(None) };
    let mut length = [0; 4];
    file.seek(SeekFrom::Start(end))?;
    file.read_exact(&mut length)?;
    let Some(start) = end.checked_sub(u64::from(u32::from_le_bytes(length))) else { return Ok(None) };
    let mut footer = vec![0; (end - start) as usize];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut footer)?;
    Ok(place_of(&footer).map(|place| start + place.start as u64..start + place.end as u64))
}

/// The checksum of a file with zeros in a place.
fn sum(file: &mut File, place: &Range<u64>) -> std::io::Result<u32> {
    let mut hashing = Hashing(Hasher::new());
    file.seek(SeekFrom::Start(0))?;
    std::io::copy(&mut Read::take(&mut *file, place.start), &mut hashing)?;
    hashing.0.update(UNKNOWN.as_bytes());
    file.seek(SeekFrom::Start(place.end))?;
    std::io::copy(file, &mut hashing)?;
    Ok(hashing.0.finalize())
}

struct Hashing(Hasher);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::parquet::{read_parquet, write_parquet};
    use super::*;
    use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn batch(rows: usize) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Float64Array::from_iter_values((0..rows).map(|row| row as f64 * 1.5)));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("text {row}"))));
        RecordBatch::try_from_iter([("ttft_ms", numbers), ("model", texts)]).unwrap()
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_never_read_in_silence(
            rows in prop_oneof![Just(1_usize), Just(20), Just(2000)], at in 0.0..1.0_f64, bit in 0_u8..8
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.parquet");
            write_parquet(&path, &batch(rows)).unwrap();
            prop_assert_eq!(read_parquet(&path).unwrap(), batch(rows));
            let mut bytes = std::fs::read(&path).unwrap();
            prop_assert!(check_bytes(&bytes, &path).is_ok());
            let index = (at * bytes.len() as f64) as usize;
            bytes[index] ^= 1 << bit;
            std::fs::write(&path, &bytes).unwrap();
            // A bit of the key itself makes a file without a checksum, whose every other byte is as it was.
            if let Ok(read) = read_parquet(&path) {
                prop_assert_eq!(read, batch(rows));
            }
        }
    }

    #[test]
    fn a_file_of_another_program_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        for bytes in [&b"PAR1"[..], b"", b"PAR1\xff\xff\xff\xffPAR1", b"sweeplake.crc32"] {
            std::fs::write(&path, bytes).unwrap();
            assert!(check_bytes(bytes, &path).is_ok() && check_whole(&path).is_ok());
        }
    }
}

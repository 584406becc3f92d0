//! Cuts a stream of bytes into server-sent events, wherever the network cut it.

use memchr::memchr;

/// The data of events that have come whole.
#[derive(Default)]
pub struct Events {
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
}

impl Events {
    /// Tells the data of each `data:` line that ends in these bytes, until it is told to stop.
    pub fn push<E>(&mut self, mut bytes: &[u8], take: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if self.begun.is_empty() {
                data(line).map_or(Ok(()), &mut *take)?;
            } else {
                self.begun.extend_from_slice(line);
                let taken = data(&self.begun).map_or(Ok(()), &mut *take);
                self.begun.clear();
                taken?;
            }
        }
        self.begun.extend_from_slice(bytes);
        Ok(())
    }

    /// The last line may lack its end.
    pub fn end<E>(self, take: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        data(&self.begun).map_or(Ok(()), take)
    }
}

/// What a line says, if it is one of data.
fn data(line: &[u8]) -> Option<&[u8]> {
    line.strip_prefix(b"data:").map(<[u8]>::trim_ascii).filter(|data| !data.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(pieces: &[&[u8]]) -> Vec<String> {
        let mut told = Vec::new();
        let mut take = |data: &[u8]| {
            told.push(String::from_utf8_lossy(data).into_owned());
            Ok::<(), ()>(())
        };
        let mut events = Events::default();
        pieces.iter().for_each(|piece| events.push(piece, &mut take).unwrap());
        events.end(&mut take).unwrap();
        told
    }

    proptest! {
        #[test]
        fn events_are_the_same_wherever_they_are_cut(size in 1usize..40) {
            let stream = b"event: x\ndata: {\"a\": 1}\r\n\r\n: ping\ndata:two\n\ndata: \n\ndata: [DONE]";
            let pieces: Vec<&[u8]> = stream.chunks(size).collect();
            prop_assert_eq!(told(&pieces), ["{\"a\": 1}", "two", "[DONE]"]);
        }
    }
}

//! Writing the parts of a frame.

/// Appends numbers and texts as AMQP writes them.
pub(super) trait Write {
    fn u8(&mut self, value: u8);
    fn u16(&mut self, value: u16);
    fn u32(&mut self, value: u32);
    fn u64(&mut self, value: u64);
    /// A text of at most 255 bytes; what is longer is cut at a character: names are checked before.
    fn short(&mut self, text: &str);
    /// Bytes with a length of four bytes before them.
    fn long(&mut self, bytes: &[u8]);
    /// Writes what `body` writes, with its length in four bytes before it.
    fn measured(&mut self, body: impl FnOnce(&mut Vec<u8>));
}

impl Write for Vec<u8> {
    fn u8(&mut self, value: u8) {
        self.push(value);
    }

    fn u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn short(&mut self, text: &str) {
        let mut end = text.len().min(255);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.push(end as u8);
        self.extend_from_slice(&text.as_bytes()[..end]);
    }

    fn long(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.extend_from_slice(bytes);
    }

    fn measured(&mut self, body: impl FnOnce(&mut Vec<u8>)) {
        let at = self.len();
        self.u32(0);
        body(self);
        let length = (self.len() - at - 4) as u32;
        self[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }
}

//! The ext fields of a header: named texts, kept in one allocation.

/// Named texts in the order they were written.
///
/// Keys and values lie back to back in one string, so a header of fifteen fields costs two allocations and no map.
/// A key met twice keeps its last value, as Java's map does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtFields {
    text: String,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    key_start: u32,
    value_start: u32,
    value_end: u32,
}

impl ExtFields {
    pub fn with_capacity(text_bytes: usize, fields: usize) -> Self {
        Self { text: String::with_capacity(text_bytes), entries: Vec::with_capacity(fields) }
    }

    pub fn push(&mut self, key: &str, value: &str) {
        let key_start = self.position();
        self.text.push_str(key);
        let value_start = self.position();
        self.text.push_str(value);
        let value_end = self.position();
        self.entries.push(Entry { key_start, value_start, value_end });
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        // From the back, because the last of equal keys counts.
        self.entries.iter().rev().find(|entry| self.key(entry) == key).map(|entry| self.value(entry))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|entry| (self.key(entry), self.value(entry)))
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    fn key(&self, entry: &Entry) -> &str {
        &self.text[entry.key_start as usize..entry.value_start as usize]
    }

    fn value(&self, entry: &Entry) -> &str {
        &self.text[entry.value_start as usize..entry.value_end as usize]
    }

    /// Headers are below 16 MiB (24-bit length), so positions fit 32 bits.
    fn position(&self) -> u32 {
        self.text.len() as u32
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for ExtFields {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(fields: I) -> Self {
        let mut ext = Self::default();
        for (key, value) in fields {
            ext.push(key, value);
        }
        ext
    }
}

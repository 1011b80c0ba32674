//! What a flag rests on, in words, where the rest of the record does not show it.
//!
//! Comes in: a flag and a short text, when the call is flagged. Comes out: at most one text a flag, bounded, as the record keeps it.
//! Most flags have none: what they rest on is in the record already (rules that failed, numbers, the signer's code).

use super::Flag;

/// Longest note, in octets: real ones are below 200.
pub const MAX_NOTE: usize = 256;

/// Notes of one call, in the order of the flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes(Vec<(Flag, Box<str>)>);

impl Notes {
    /// Adds the note of a flag; one that is there already is replaced. What came from outside is escaped before
    /// (`base::text`); a control character that is there all the same becomes a question mark.
    pub fn insert(&mut self, flag: Flag, note: &str) {
        let note = note.get(..note.floor_char_boundary(MAX_NOTE));
        let note = note.unwrap_or_default().replace(char::is_control, "?");
        let note = note.into();
        match self.0.binary_search_by_key(&flag, |(f, _)| *f) {
            Ok(i) => {
                if let Some(place) = self.0.get_mut(i) {
                    place.1 = note;
                }
            }
            Err(i) => self.0.insert(i, (flag, note)),
        }
    }

    /// The note of a flag.
    pub fn of(&self, flag: Flag) -> Option<&str> {
        self.iter().find(|(f, _)| *f == flag).map(|(_, n)| n)
    }

    /// Every note with its flag.
    pub fn iter(&self) -> impl Iterator<Item = (Flag, &str)> {
        self.0.iter().map(|(f, n)| (*f, &**n))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As the store keeps them: a line each, flag, blank, note. Empty where there is none.
    pub fn to_text(&self) -> String {
        let line = |(f, n): (Flag, &str)| format!("{} {n}", f.label());
        self.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Undoes [`Notes::to_text`]. Lines of flags that this version does not know are left out.
    pub fn from_text(text: &str) -> Self {
        let mut out = Self::default();
        for line in text.lines() {
            let Some((label, note)) = line.split_once(' ') else {
                continue;
            };
            if let Some(flag) = Flag::from_label(label) {
                out.insert(flag, note);
            }
        }
        out
    }
}

impl serde::Serialize for Notes {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.iter().map(|(f, n)| (f.label(), n)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_flag_has_one_note_and_notes_stand_in_the_order_of_flags() {
        let mut n = Notes::default();
        n.insert(Flag::Loop, "b");
        n.insert(Flag::MalformedNumber, "a");
        n.insert(Flag::Loop, "c");
        assert_eq!(n.to_text(), "malformed-number a\nloop c");
        assert_eq!(n.of(Flag::Loop), Some("c"));
        assert_eq!(
            serde_json::to_string(&n).unwrap(),
            r#"{"malformed-number":"a","loop":"c"}"#
        );
    }

    proptest! {
        #[test]
        fn any_text_comes_back_and_is_bounded(note in ".{0,600}", i in 0..Flag::ALL.len()) {
            let mut n = Notes::default();
            n.insert(Flag::ALL[i], &note);
            n.insert(Flag::Unsigned, "x");
            prop_assert!(n.iter().all(|(_, n)| n.len() <= MAX_NOTE && !n.contains('\n')));
            prop_assert_eq!(Notes::from_text(&n.to_text()), n);
        }
    }
}

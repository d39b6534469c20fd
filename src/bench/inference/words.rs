//! Text of about so many tokens.
//!
//! No tokenizer is here, for each model has its own. Short common words are one token each in nearly
//! all vocabularies; what the server counted is told beside what was asked for.

use crate::proxy::random::Random;

const WORDS: &str = "\
time year people way day man thing woman life child world school state family student group country \
problem hand part place case week company system program question work government number night point \
home water room mother area money story fact month lot right study book eye job word business issue \
side kind head house service friend father power hour game line end member law car city community \
name president team minute idea kid body information back parent face others level office door \
health person art war history party result change morning reason research girl guy moment air teacher \
force education foot boy age policy music market road sense good new first last long great little own \
other old big high different small large next early young important few public bad same able be have do \
say get make go know take see come think look want give use find tell ask seem feel try leave call keep \
let begin help show hear play run move like live believe hold bring happen write sit stand lose pay meet \
include continue set learn lead understand watch follow stop create speak read spend grow open walk win \
offer remember love consider appear buy wait serve die send expect build stay fall cut reach kill remain";

/// Puts `count` words behind `text`, the same for the same sequence.
pub fn put(text: &mut String, count: u32, random: &mut Random) {
    let words = vocabulary();
    for _ in 0..count {
        if !text.is_empty() {
            text.push(' ');
        }
        // Below the number of words, so there is one.
        let index = random.below(words.len() as u64) as usize;
        text.push_str(words.get(index).copied().unwrap_or("the"));
    }
}

fn vocabulary() -> &'static [&'static str] {
    static VOCABULARY: std::sync::LazyLock<Vec<&'static str>> =
        std::sync::LazyLock::new(|| WORDS.split_ascii_whitespace().collect());
    &VOCABULARY
}

/// How many tokens a text of somebody else's has, about.
pub fn estimated(text: &str) -> u32 {
    let quarter = text.chars().count().div_ceil(4);
    u32::try_from(quarter).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_its_words_and_is_the_same_again() {
        let text = |seed| {
            let mut text = String::new();
            put(&mut text, 50, &mut Random::new(seed));
            text
        };
        assert_eq!(text(1).split(' ').count(), 50);
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
    }

    #[test]
    fn the_words_are_short_and_many() {
        let words = vocabulary();
        assert!(words.len() > 200, "{}", words.len());
        assert!(words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())));
    }
}

//! What is asked: prompts and lengths of answers, one job after another.
//!
//! * A job is made of the seed and its number alone: the same seed asks the same again, whatever else
//!   happens.
//! * The levels of a sweep go on counting, so no level finds its prompts in the server's prefix cache
//!   because the level before has asked them.
//!
//! A part of the prompts may be shared (`prefix`), which is what prefix caches live from: prompts of one
//! group begin with the same words, as far as their share goes.

use std::sync::Arc;

use super::files::{Prompt, Recorded, Sample};
use super::lengths::Lengths;
use super::words;
use crate::proxy::random::Random;

/// Tokens of a block of a Mooncake trace.
const BLOCK: u32 = 512;

/// What a prompt has in common with others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prefix {
    /// The part of each prompt, from 0 to 1.
    pub share: f64,
    /// So many different beginnings there are.
    pub groups: u32,
}

/// Where prompts come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Made of words.
    Made { prompt: Lengths, prefix: Prefix },
    /// A file, again from its beginning when all were asked.
    Samples(Arc<[Sample]>),
    /// The lengths of a trace.
    Recorded(Arc<[Recorded]>),
}

#[derive(Clone, Debug)]
pub struct Workload {
    pub source: Source,
    /// Of answers for which the source has no length.
    pub output: Lengths,
    pub seed: u64,
}

/// One request to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub prompt: Prompt,
    /// Tokens that were asked for, as far as words are tokens; `None`: the text is somebody else's.
    pub input: Option<u32>,
    /// At most so many tokens are wanted.
    pub output: u32,
}

impl Workload {
    /// Job `index` of the campaign. `place` counts in its level: a trace begins anew with each.
    pub fn job(&self, index: u64, place: u64) -> Job {
        let mut random = self.random(index);
        match &self.source {
            Source::Made { prompt, prefix } => {
                let length = prompt.draw(&mut random);
                let output = self.output.draw(&mut random);
                let text = self.made(length, *prefix, &mut random);
                Job { prompt: Prompt::Text(text), input: Some(length), output }
            }
            Source::Samples(samples) => {
                let output = self.output.draw(&mut random);
                // There is a sample, or the file would have been refused.
                let sample = &samples[(index % samples.len() as u64) as usize];
                Job {
                    prompt: sample.prompt.clone(),
                    input: None,
                    output: sample.output.unwrap_or(output),
                }
            }
            Source::Recorded(rows) => {
                // There is a row, or the file would have been refused.
                let row = &rows[(place % rows.len() as u64) as usize];
                let text = self.replayed(row, &mut random);
                Job { prompt: Prompt::Text(text), input: Some(row.input), output: row.output }
            }
        }
    }

    fn random(&self, stream: u64) -> Random {
        let mut random = Random::new(self.seed);
        Random::new(random.draw() ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn made(&self, length: u32, prefix: Prefix, random: &mut Random) -> String {
        let shared = (f64::from(length) * prefix.share).round() as u32;
        let mut text = String::new();
        if shared > 0 {
            let group = random.below(u64::from(prefix.groups.max(1)));
            // Streams of groups lie beyond those of jobs.
            words::put(&mut text, shared.min(length), &mut self.random(u64::MAX - group));
        }
        words::put(&mut text, length.saturating_sub(shared), random);
        text
    }

    /// Who names the same blocks gets the same beginning.
    fn replayed(&self, row: &Recorded, random: &mut Random) -> String {
        let (mut text, mut left) = (String::new(), row.input);
        for block in &row.blocks {
            let here = left.min(BLOCK);
            words::put(&mut text, here, &mut self.random(!*block));
            left -= here;
        }
        words::put(&mut text, left, random);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn made(share: f64, groups: u32) -> Workload {
        let source = Source::Made { prompt: Lengths::fixed(100), prefix: Prefix { share, groups } };
        Workload { source, output: Lengths::fixed(9), seed: 1 }
    }

    fn text(workload: &Workload, index: u64) -> String {
        match workload.job(index, index).prompt {
            Prompt::Text(text) => text,
            Prompt::Messages(messages) => messages.to_string(),
        }
    }

    fn common(a: &str, b: &str) -> usize {
        a.split(' ').zip(b.split(' ')).take_while(|(a, b)| a == b).count()
    }

    #[test]
    fn a_job_is_made_of_the_seed_and_its_number() {
        let workload = made(0.0, 1);
        assert_eq!(workload.job(3, 0), workload.clone().job(3, 7));
        assert_ne!(text(&workload, 3), text(&workload, 4));
        assert_ne!(text(&workload, 3), text(&Workload { seed: 2, ..workload.clone() }, 3));
        assert_eq!(text(&workload, 3).split(' ').count(), 100);
    }

    #[test]
    fn prompts_share_the_beginning_that_was_asked_for() {
        let (none, most) = (made(0.0, 1), made(0.8, 1));
        assert!(common(&text(&none, 1), &text(&none, 2)) < 5);
        assert!((80..85).contains(&common(&text(&most, 1), &text(&most, 2))));
        let three = made(0.5, 3);
        let beginnings: std::collections::BTreeSet<String> = (0..60)
            .map(|index| text(&three, index).split(' ').take(50).collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(beginnings.len(), 3);
    }

    #[test]
    fn blocks_of_a_trace_are_the_same_text_wherever_they_are_named() {
        let row = |input, blocks: &[u64]| Recorded {
            at: Duration::ZERO,
            input,
            output: 4,
            blocks: blocks.to_vec(),
        };
        let rows = [row(1_100, &[7, 8, 9]), row(1_300, &[7, 8, 10])];
        let workload = Workload { source: Source::Recorded(rows.into()), ..made(0.0, 1) };
        let (first, second) = (text(&workload, 0), text(&workload, 1));
        assert_eq!((first.split(' ').count(), second.split(' ').count()), (1_100, 1_300));
        assert!((1_024..1_030).contains(&common(&first, &second)));
        let job = workload.job(5, 1);
        assert_eq!((job.input, job.output), (Some(1_300), 4), "each level replays from its start");
    }

    #[test]
    fn a_file_goes_round() {
        let sample = |text: &str, output| Sample { prompt: Prompt::Text(text.to_owned()), output };
        let samples = [sample("a", Some(3)), sample("b", None)];
        let workload = Workload { source: Source::Samples(samples.into()), ..made(0.0, 1) };
        let jobs: Vec<_> = (0..3).map(|index| workload.job(index, 0)).collect();
        assert_eq!(jobs.iter().map(|job| job.output).collect::<Vec<_>>(), [3, 9, 3]);
        assert_eq!(jobs[2].prompt, Prompt::Text("a".to_owned()));
    }
}

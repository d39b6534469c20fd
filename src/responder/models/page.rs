//! Anthropic's pages: `limit`, `after_id` and `before_id`, out of the query of a request.

use std::borrow::Cow;

use crate::service::listing::WrittenModel;

/// A page as it is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<'q> {
    /// As many models at most. Who says nothing gets as many as may be asked for, and not the
    /// twenty that Anthropic gives: what cannot turn pages is to see all the same what there is.
    limit: usize,
    after: Option<Cow<'q, str>>,
    before: Option<Cow<'q, str>>,
}

const LIMIT_MAX: usize = 1_000;

impl Page<'_> {
    /// Out of a query; what else it says is let be. Or what is wrong with it.
    pub fn of(query: &str) -> Result<Page<'_>, &'static str> {
        let mut page = Page { limit: LIMIT_MAX, after: None, before: None };
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let id = || decoded(value, true).ok_or("the query has an escape that means nothing");
            match name {
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                    page.limit = limit.ok_or("limit must be a number from 1 to 1000")?;
                }
                "after_id" => page.after = Some(id()?),
                "before_id" => page.before = Some(id()?),
                _ => {}
            }
        }
        match page.after.is_some() && page.before.is_some() {
            true => Err("after_id and before_id exclude each other"),
            false => Ok(page),
        }
    }

    /// The models of the page, and whether more follow in its direction.
    pub fn of_models<'m>(
        &self,
        models: &'m [WrittenModel],
    ) -> Result<(&'m [WrittenModel], bool), &'static str> {
        let place = |id: &str| {
            let place = models.iter().position(|model| model.id == id);
            place.ok_or("after_id or before_id names no model of this list")
        };
        if let Some(before) = &self.before {
            let end = place(before)?;
            let start = end.saturating_sub(self.limit);
            return Ok((&models[start..end], start > 0));
        }
        let start = match &self.after {
            Some(after) => place(after)? + 1,
            None => 0,
        };
        let end = models.len().min(start + self.limit);
        Ok((&models[start..end], end < models.len()))
    }
}

/// A text without its `%` escapes; in a `form`, `+` is a blank. `None`: it is no text.
pub(super) fn decoded(text: &str, form: bool) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                // Two digits are less than 256.
                (digit()? << 4 | digit()?) as u8
            }
            b'+' if form => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

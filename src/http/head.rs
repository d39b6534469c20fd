/// The most fields a head may have, whatever the configuration allows.
pub const FIELDS_MAX: usize = 256;

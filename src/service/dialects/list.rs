//! The macros behind the list of dialects and behind the words of each.

/// The list: the enum, and `known!`, by which a fact is asked of whichever dialect it is. The `$` in
/// front is what the inner macro is written with.
macro_rules! dialects {
    ($d:tt $($(#[$doc:meta])* $Name:ident in $folder:ident,)*) => {
        /// How requests are written and answered.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Dialect {
            $($(#[$doc])* $Name,)*
        }

        impl Dialect {
            /// In the order in which they are asked whether a path is theirs.
            pub const ALL: &'static [Dialect] = &[$(Dialect::$Name),*];

            /// The first of which this path is expected.
            fn expected(setting: Setting, path: &str) -> Option<Dialect> {
                $(if <$folder::$Name as Knowledge>::is_expected(setting, path) {
                    return Some(Dialect::$Name);
                })*
                None
            }
        }

        /// The words of all their events.
        pub(in crate::service) const EVENT_WORDS: &[&[&str]] =
            &[$(<$folder::$Name as Knowledge>::WORDS),*];
        /// The names of all their events.
        pub(in crate::service) const EVENT_NAMES: &[&[&str]] =
            &[$(<$folder::$Name as Knowledge>::NAMES),*];
        /// The words of all their documents.
        pub(in crate::service) const DOCUMENT_WORDS: &[&[&str]] =
            &[$(<$folder::$Name as Knowledge>::DOCUMENT_WORDS),*];

        /// `known!(dialect, D => expression)`: the expression, in which `D` is what is known of that
        /// dialect. It is compiled for each, so a constant of `D` costs nothing.
        macro_rules! known {
            ($d dialect:expr, $d Known:ident => $d fact:expr) => {{
                #[allow(unused_imports)]
                use $d crate::service::dialects::Knowledge as _;
                match $d dialect {
                    $($d crate::service::Dialect::$Name => {
                        type $d Known = $d crate::service::dialects::$folder::$Name;
                        $d fact
                    })*
                }
            }};
        }
        pub(in crate::service) use known;

        /// `all_known!(D => expression)`: the expression for each dialect, in a list.
        macro_rules! all_known {
            ($d Known:ident => $d fact:expr) => {{
                #[allow(unused_imports)]
                use $d crate::service::dialects::Knowledge as _;
                [$({
                    type $d Known = $d crate::service::dialects::$folder::$Name;
                    $d fact
                }),*]
            }};
        }
        pub(in crate::service) use all_known;
    };
}

/// Words of a dialect, as constants, and as the list `ALL` of them. `table`: the words of all
/// dialects, among which each is known by its place.
macro_rules! words {
    ($table:path: $($name:ident = $text:literal,)*) => {
        pub(in crate::service) const ALL: &[&str] = &[$($text),*];
        $(pub(in crate::service) const $name: $crate::http::json::Word = $table.word($text);)*
    };
}

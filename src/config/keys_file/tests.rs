use super::*;
use crate::http::pattern::Pattern;

fn digest(number: u8) -> KeyDigest {
    KeyDigest([number; 32])
}

fn secret(number: u8) -> KeyHolder {
    KeyHolder::Secret(digest(number))
}

fn names(text: &str) -> Vec<String> {
    keys(text).expect("a keys file").into_iter().map(|key| key.name).collect()
}

#[test]
fn keys_are_added_changed_and_taken_away_and_the_rest_stays() {
    let one = add("", "one", &secret(1), "").expect("added");
    assert_eq!(one, format!("[keys.one]\nhash = \"{}\"\n", digest(1)));
    let text = format!("# ours\n{one}\n# Bob's,\n# until May\n");
    let two =
        add(&text, "b.ob@x", &secret(2), "models = [\"a*\"]\nconcurrency = 2\n").expect("added");
    assert_eq!(names(&two), ["one", "b.ob@x"]);
    assert!(two.starts_with("# ours\n") && two.contains("[keys.\"b.ob@x\"]"), "{two}");
    let three = add(&two, "three", &secret(3), "").expect("added");
    let rotated = rotate(&three, "b.ob@x", digest(4), Some(1_893_456_000)).expect("changed");
    let bob = &keys(&rotated).expect("good")[1];
    assert_eq!((bob.digest(), bob.previous), (Some(digest(4)), Some((digest(2), 1_893_456_000))));
    assert_eq!(bob.concurrency, Some(2));
    // Once more, at once.
    let again = rotate(&rotated, "b.ob@x", digest(5), None).expect("changed");
    let bob = &keys(&again).expect("good")[1];
    assert_eq!((bob.digest(), bob.previous), (Some(digest(5)), None));
    let without = remove(&again, "b.ob@x").expect("taken away");
    assert_eq!(names(&without), ["one", "three"]);
    assert!(without.contains("# Bob's") && without.contains("# ours"));
    let none = remove(&remove(&without, "one").expect("one"), "three").expect("three");
    assert_eq!(names(&none), [""; 0]);
}

#[test]
fn what_stands_in_front_of_the_next_table_is_about_that() {
    let hash = |number| format!("hash = \"{}\"\n", digest(number));
    let text = format!("[keys.a]\n{}\n# of b\n[keys.b]\n{}", hash(1), hash(2));
    assert_eq!(remove(&text, "a"), Ok(format!("\n# of b\n[keys.b]\n{}", hash(2))));
}

#[test]
fn a_key_of_a_certificate_has_no_secret_to_rotate() {
    let holder = KeyHolder::Certificate(["a\"b", "c-*"].map(Pattern::new).to_vec());
    let text = add("", "one", &holder, "concurrency = 2\n").expect("added");
    assert_eq!(text, "[keys.one]\ncertificate = [\"a\\\"b\", \"c-*\"]\nconcurrency = 2\n");
    assert_eq!(keys(&text).expect("good")[0].holder, holder);
    assert_eq!(rotate(&text, "one", digest(2), None), Err(KeysFileError::NoSecret));
    assert_eq!(remove(&text, "one").as_deref(), Ok(""));
    let nobody = KeyHolder::Certificate(vec![Pattern::new("")]);
    assert!(matches!(add("", "one", &nobody, ""), Err(KeysFileError::Unwritable(_))));
}

#[test]
fn what_cannot_be_changed_is_told() {
    let text = add("", "one", &secret(1), "").expect("added");
    assert_eq!(add(&text, "one", &secret(2), ""), Err(KeysFileError::Taken));
    assert_eq!(remove(&text, "two"), Err(KeysFileError::NoSuchKey));
    assert_eq!(rotate(&text, "two", digest(2), None), Err(KeysFileError::NoSuchKey));
    assert!(matches!(add("[server]\n", "a", &secret(1), ""), Err(KeysFileError::Broken(_))));
    assert!(matches!(add(&text, "a b", &secret(2), ""), Err(KeysFileError::Unwritable(_))));
    assert!(matches!(add(&text, "b", &secret(2), "rpm = 1\n"), Err(KeysFileError::Unwritable(_))));
    // The same secret twice is found when the gateway reads it; a form that is not ours is left alone.
    let inline = format!("[keys]\none = {{ hash = \"{}\" }}\n", digest(1));
    assert_eq!(names(&inline), ["one"]);
    assert_eq!(remove(&inline, "one"), Err(KeysFileError::Unwritable(Vec::new())));
    let odd = format!("[keys.one]\n\"hash\" = \"{}\"\n", digest(1));
    assert_eq!(rotate(&odd, "one", digest(2), None), Err(KeysFileError::Unwritable(Vec::new())));
}

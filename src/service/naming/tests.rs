use super::*;

const JSON: &str = "application/json";
const FORM: &str = "multipart/form-data; boundary=XbX";

/// What a finder says of a body: the name, nothing, or why not.
fn found(media: &str, pieces: &[&[u8]]) -> Result<Option<(usize, String)>, Unclear> {
    let mut finder = Finder::new([media.as_bytes()].into_iter(), std::iter::empty())?;
    for piece in pieces {
        finder.feed(piece);
    }
    finder.end();
    let name = finder.name().cloned();
    let text = |name: Name| (name.at, String::from_utf8(name.written).expect("a name"));
    finder.unclear().map_or_else(|| Ok(name.map(text)), Err)
}

/// The same however the body is cut.
fn found_any_split(media: &str, body: &[u8]) -> Result<Option<String>, Unclear> {
    let whole = found(media, &[body]);
    for cut in 0..=body.len() {
        let (start, end) = body.split_at(cut);
        assert_eq!(found(media, &[start, end]), whole, "{} at {cut}", body.escape_ascii());
        let step = cut.max(1);
        let pieces: Vec<&[u8]> = body.chunks(step).collect();
        assert_eq!(found(media, &pieces), whole, "{} by {step}", body.escape_ascii());
    }
    whole.map(|name| {
        name.map(|(at, name)| {
            assert_eq!(&body[at..at + name.len()], name.as_bytes(), "where it stands");
            name
        })
    })
}

/// What Python 3.11 `json.loads`, Node 18 `JSON.parse`, serde_json and Go 1.21 read as the model is in
/// `docs/resilience.md`; what they do not all read alike is ambiguous here.
#[test]
fn a_model_is_the_one_that_every_parser_reads() {
    let named = Ok(Some("a".to_owned()));
    let nested = |levels: usize, tail: &str| {
        format!(r#"{{"x":{}{},"model":"a"{tail}}}"#, "[".repeat(levels), "]".repeat(levels))
    };
    for body in [
        r#"{"model":"a"}"#,
        " \t\r\n{ \"model\" : \"a\" , \"x\":1 } \n",
        r#"{"messages":[{"model":"no","content":"\"model\":\"no\""}],"model":"a","stream":true}"#,
        r#"{"x":{"model":"no"},"y":[{"model":"no"}],"model":"a","modelx":1,"mode":2,"":3}"#,
        r#"{"x":"\\","model":"a","n":-1.5e+3,"t":true,"z":null}"#,
        "{\"na\u{ef}ve\":1,\"mod\u{e8}l\":2,\"model\":\"a\"}",
        r#"{"m\u00f6del":1,"model":"a"}"#,
        "\u{feff}{\"model\":\"a\"}",
        &nested(70, ""),
        &nested(500, ""),
        r#"{"x":{"y":[{"z":{}}]},"model":"a","stream":true,"stream":false}"#,
    ] {
        assert_eq!(found_any_split(JSON, body.as_bytes()), named, "{body}");
    }
    for body in [
        "",
        " ",
        "{}",
        "\"model\"",
        "null",
        "5",
        "{\"x\":1}",
        "plain text",
        r#"{"model":null}"#,
        r#"{"x":{"model":"a"}}"#,
        "\u{89}PNG\r\n",
    ] {
        assert_eq!(found_any_split(JSON, body.as_bytes()), Ok(None), "{body}");
    }
    for body in [&b"\xff\xd8\xff\xe0"[..], b"\xfe\x01\x02\x03", b"\x89PNG{", b"\n\x05hello{", b"\0"]
    {
        assert_eq!(found_any_split("application/octet-stream", body), Ok(None), "{body:?}");
    }
    // Text that begins so is no object to anybody, and a picture in base64 begins with a slash.
    for body in ["/9j/4AAQ", "// a{", "# Title {x}", "[1]", ")"] {
        assert_eq!(found_any_split("text/plain", body.as_bytes()), Ok(None), "{body}");
    }
}

#[test]
fn what_parsers_read_differently_is_ambiguous() {
    let deep = format!(r#"{{"model":"a","x":{}{},"model":"b"}}"#, "[".repeat(70), "]".repeat(70));
    let utf16 = |text: &str, little: bool| -> Vec<u8> {
        let bytes = |unit: u16| if little { unit.to_le_bytes() } else { unit.to_be_bytes() };
        text.encode_utf16().flat_map(bytes).collect()
    };
    let text = "{\"model\":\"a\"}";
    let mut bodies: Vec<Vec<u8>> = [
        r#"{"model":"a","model":"b"}"#,
        r#"{"model":null,"model":"b"}"#,
        r#"{"mod\u0065l":"a"}"#,
        r#"{"model":"a","\u006dodel":"b"}"#,
        r#"{"model":"a","\u006D\u006F\u0064\u0065\u006C":"b"}"#,
        // Go takes any case, and lenient readers any character behind a backslash.
        r#"{"Model":"a"}"#,
        r#"{"model":"a","MODEL":"b"}"#,
        r#"{"mo\del":"a"}"#,
        // Who ends a text at NUL, leaves out what is not ASCII, or trims.
        r#"{"model\u0000":"a"}"#,
        r#"{"model\u0000x":"a","model":"b"}"#,
        "{\"model\0\":\"a\"}",
        "{\"mod\u{200b}el\":\"a\"}",
        r#"{"mod\u200bel":"a"}"#,
        r#"{" model":"a"}"#,
        r#"{"model\t":"a"}"#,
        &deep,
        // No string, and no name that could be replaced.
        r#"{"model":5}"#,
        r#"{"model":{"id":"a"}}"#,
        r#"{"model":["a"]}"#,
        // More than JSON: comments, other quotes, bare keys, a second value.
        r#"{/* */"model":"a"}"#,
        r#"{"x":[1, // ]
            2],"model":"a"}"#,
        // In front of the object, and a list that some take for its only element.
        "/*c*/{\"model\":\"a\"}",
        "//c\n{\"model\":\"a\"}",
        " #c\n{\"model\":\"a\"}",
        ")]}'\n{\"model\":\"a\"}",
        "[{\"model\":\"a\"}]",
        "\u{feff}[1]",
        "{'model':'a'}",
        "{\"x\":['\"'],\"model\":\"a\"}",
        "{model:\"a\"}",
        r#"{"model":"a"}{"model":"b"}"#,
        r#"{"model":"a"}x"#,
        "{\"model\":\"a\"}\0",
        r#"{"model":"a",}"#,
        r#"{"model":"a""#,
        r#"{"model":"a"#,
        r#"{"x"}"#,
        r#"{"x":}"#,
        "\u{feff}\u{feff}{\"model\":\"a\"}",
        "\u{b}{\"model\":\"a\"}",
    ]
    .map(|body| body.as_bytes().to_vec())
    .to_vec();
    bodies.extend([true, false].map(|little| utf16(text, little)));
    bodies.extend([true, false].map(|little| utf16(&format!("\u{feff}{text}"), little)));
    bodies.extend([true, false].map(|little| {
        let unit = |character: char| match little {
            true => u32::from(character).to_le_bytes(),
            false => u32::from(character).to_be_bytes(),
        };
        text.chars().flat_map(unit).collect()
    }));
    bodies.push(b"{\"mod\xffel\":\"a\"}".to_vec());
    bodies.push(b"\x88{\"model\":\"a\"}".to_vec());
    bodies.push(format!("{{\"model\":\"{}\"}}", "a".repeat(NAME_BYTES_MAX + 1)).into_bytes());
    for body in bodies {
        let said = found_any_split(JSON, &body);
        assert_eq!(said, Err(Unclear::Ambiguous), "{}", body.escape_ascii());
    }
    for media in ["", "Application/JSON; charset=utf-8", "application/vnd.api+json"] {
        let said = found_any_split(media, b"/*c*/{\"model\":\"a\"}");
        assert_eq!(said, Err(Unclear::Ambiguous), "{media}");
    }
}

fn form(parts: &[(&str, &str)]) -> String {
    let part = |(head, content): &(&str, &str)| format!("--XbX\r\n{head}\r\n\r\n{content}\r\n");
    parts.iter().map(part).collect::<String>() + "--XbX--\r\n"
}

#[test]
fn a_form_names_its_model_in_a_part() {
    let (file, model) = (
        "Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav",
        "Content-Disposition: form-data; name=\"model\"",
    );
    let sound = "RIFF\r\n--Xb\r\n-\r\n\r\nname=\"model\"\r\n";
    for (parts, expected) in [
        (vec![(model, "a")], Some("a")),
        (vec![(file, sound), (model, "whisper-1")], Some("whisper-1")),
        (vec![(model, "whisper-1"), (file, sound)], Some("whisper-1")),
        (vec![(model, "")], Some("")),
        (vec![(model, "a\r\nb")], Some("a\r\nb")),
        (vec![("content-disposition:form-data;name=model", "a")], Some("a")),
        (vec![(file, sound)], None),
        (vec![("Content-Disposition: form-data; name=\"modelx\"", "a")], None),
    ] {
        let body = form(&parts);
        let expected = Ok(expected.map(str::to_owned));
        assert_eq!(found_any_split(FORM, body.as_bytes()), expected, "{body}");
        let body = format!("\r\n{body}epilogue");
        assert_eq!(found_any_split(FORM, body.as_bytes()), expected, "{body}");
    }
    assert_eq!(found_any_split(FORM, b""), Ok(None));
}

#[test]
fn a_form_that_parsers_cut_differently_is_ambiguous() {
    let model = "Content-Disposition: form-data; name=\"model\"";
    let whole = form(&[(model, "a")]);
    for head in [
        "Content-Disposition: form-data; name=\"Model\"",
        "Content-Disposition: form-data; name=\"mod%65l\"",
        "Content-Disposition: form-data; name=\"mod\\el\"",
        "Content-Disposition: form-data; name*=utf-8''model",
        "Content-Disposition: form-data; name=\"x\"; name=\"model\"",
        "Content-Disposition: form-data; name=\"model\"; filename=\"x\"",
        "Content-Disposition: form-data; name=\"x\"\r\nContent-Disposition: form-data; name=\"model\"",
        "Content-Disposition: form-data;\r\n name=\"model\"",
        "Content-Disposition: form-data; name=\"x\nContent-Disposition: form-data; name=\"model\"",
        "Content-Disposition : form-data; name=\"model\"",
        "Content-Disposition: form-data; name=\"model\"\r\nContent-Transfer-Encoding: base64",
        "Content-Type: text/plain",
    ] {
        let body = form(&[(head, "a")]);
        let said = found_any_split(FORM, body.as_bytes());
        assert_eq!(said, Err(Unclear::Ambiguous), "{body}");
    }
    for body in [
        form(&[(model, "a"), (model, "b")]),
        whole.replace("--XbX--\r\n", ""),
        whole.replace("\r\n", "\n"),
        whole.replace("a\r\n--XbX--", "a\n--XbX--"),
        whole.replace("--XbX\r\n", "--XbX \r\n"),
        format!("preamble\r\n{whole}"),
        format!("{whole}--XbX\r\n{model}\r\n\r\nb\r\n--XbX--"),
        whole.replace("\r\na\r\n", "\r\nx--XbXy\r\n"),
        format!("{{\"model\":\"a\"}}\r\n{whole}"),
        form(&[(model, &"a".repeat(NAME_BYTES_MAX + 1))]),
    ] {
        let said = found_any_split(FORM, body.as_bytes());
        assert_eq!(said, Err(Unclear::Ambiguous), "{body}");
    }
}

#[test]
fn a_url_encoded_form_names_no_model_unless_it_is_json() {
    let media = "application/x-www-form-urlencoded";
    for (body, expected) in [
        ("grant_type=x&scope=model", Ok(None)),
        ("a=%7B&b", Ok(None)),
        ("", Ok(None)),
        ("model=a", Err(Unclear::Ambiguous)),
        ("x=1&model=a", Err(Unclear::Ambiguous)),
        ("x=1;model=a", Err(Unclear::Ambiguous)),
        ("x=1&%6Dodel=a", Err(Unclear::Ambiguous)),
        ("x=1&MODEL", Err(Unclear::Ambiguous)),
        // curl -d.
        ("{\"model\":\"a\"}", Ok(Some("a"))),
        (" \n {\"model\":\"a\"}", Ok(Some("a"))),
        ("{\"Model\":\"a\"}", Err(Unclear::Ambiguous)),
    ] {
        let expected = expected.map(|name| name.map(str::to_owned));
        assert_eq!(found_any_split(media, body.as_bytes()), expected, "{body}");
    }
}

#[test]
fn a_body_that_says_it_is_encoded_is_not_read() {
    let new = |types: &[&'static str], encodings: &[&'static str]| {
        let bytes = |value: &&'static str| value.as_bytes();
        Finder::new(types.iter().map(bytes), encodings.iter().map(bytes)).err()
    };
    for (types, encodings, expected) in [
        (vec![], vec![], None),
        (vec![JSON], vec!["identity"], None),
        (vec!["application/json; charset=UTF-8"], vec![" Identity , identity"], None),
        (vec![JSON], vec!["gzip"], Some(Unclear::Encoded)),
        (vec![JSON], vec!["identity", "br"], Some(Unclear::Encoded)),
        (vec![JSON], vec![""], Some(Unclear::Encoded)),
        (vec!["application/json; charset=utf-16"], vec![], Some(Unclear::Encoded)),
        (vec!["text/plain; x=y; Charset=\"UTF-7\""], vec![], Some(Unclear::Encoded)),
        (vec![JSON, FORM], vec![], Some(Unclear::Ambiguous)),
        (vec!["multipart/form-data"], vec![], Some(Unclear::Ambiguous)),
        (vec!["multipart/form-data; boundary=a; boundary=b"], vec![], Some(Unclear::Ambiguous)),
        (vec!["multipart/form-data; boundary*=a"], vec![], Some(Unclear::Ambiguous)),
        (vec!["Multipart/Form-Data; charset=x; boundary=\"a b\""], vec![], None),
    ] {
        assert_eq!(new(&types, &encodings), expected, "{types:?} {encodings:?}");
    }
}

#[test]
fn a_name_is_written_and_read_in_the_notation_of_its_body() {
    assert_eq!(Notation::Json.write("a\"b"), br#"a\"b"#);
    assert_eq!(Notation::Plain.write("a\"b"), b"a\"b");
    assert_eq!(Notation::Json.read(br#"a\u0062\/"#).as_deref(), Some("ab/"));
    assert_eq!(Notation::Json.read(br#"\ud800"#), None);
    assert_eq!(Notation::Plain.read(b"a\\").as_deref(), Some("a\\"));
}

#[test]
fn the_first_quote_or_backslash_is_found_wherever_it_stands() {
    for length in 0..70 {
        for fill in *b"a!\xa2\xdc\x23\x5d\0\xff" {
            let mut text = vec![fill; length];
            assert_eq!(json::quote_or_escape(&text), None);
            for at in 0..length {
                for mark in *b"\"\\" {
                    text[at] = mark;
                    // Another behind it is not the first.
                    text[length - 1] = b'"';
                    assert_eq!(json::quote_or_escape(&text), Some(at), "{length} {at}");
                    (text[at], text[length - 1]) = (fill, fill);
                }
            }
        }
    }
}

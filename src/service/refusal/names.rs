//! The codes and types of errors that are not the server's own, with the status that they have in HTTP.

use super::Blame;

/// In ascending order. Those of pictures are what OpenAI's responses say. Some servers write the
/// status as a text.
pub const NAMES: [(&str, Blame); 68] = [
    ("400", Blame::of_status(400)),
    ("401", Blame::of_status(401)),
    ("402", Blame::of_status(402)),
    ("403", Blame::of_status(403)),
    ("404", Blame::of_status(404)),
    ("405", Blame::of_status(405)),
    ("406", Blame::of_status(406)),
    ("409", Blame::of_status(409)),
    ("410", Blame::of_status(410)),
    ("411", Blame::of_status(411)),
    ("412", Blame::of_status(412)),
    ("413", Blame::of_status(413)),
    ("414", Blame::of_status(414)),
    ("415", Blame::of_status(415)),
    ("416", Blame::of_status(416)),
    ("417", Blame::of_status(417)),
    ("421", Blame::of_status(421)),
    ("422", Blame::of_status(422)),
    ("423", Blame::of_status(423)),
    ("424", Blame::of_status(424)),
    ("425", Blame::of_status(425)),
    ("426", Blame::of_status(426)),
    ("428", Blame::of_status(428)),
    ("429", Blame::of_status(429)),
    ("431", Blame::of_status(431)),
    ("451", Blame::of_status(451)),
    ("499", Blame::of_status(499)),
    ("501", Blame::of_status(501)),
    ("505", Blame::of_status(505)),
    ("AuthenticationError", Blame::of_status(401)),
    ("BadRequestError", Blame::of_status(400)),
    ("NotFoundError", Blame::of_status(404)),
    ("NotImplementedError", Blame::of_status(501)),
    ("PermissionDeniedError", Blame::of_status(403)),
    ("RateLimitError", Blame::of_status(429)),
    ("UnprocessableEntityError", Blame::of_status(422)),
    ("authentication_error", Blame::of_status(401)),
    ("billing_error", Blame::of_status(402)),
    ("content_filter", Blame::of_status(400)),
    ("content_policy_violation", Blame::of_status(400)),
    ("context_length_exceeded", Blame::TooLong),
    ("empty_image_file", Blame::of_status(400)),
    ("exceed_context_size_error", Blame::TooLong),
    ("failed_to_download_image", Blame::of_status(400)),
    ("image_content_policy_violation", Blame::of_status(400)),
    ("image_file_not_found", Blame::of_status(400)),
    ("image_file_too_large", Blame::of_status(400)),
    ("image_parse_error", Blame::of_status(400)),
    ("image_too_large", Blame::of_status(400)),
    ("image_too_small", Blame::of_status(400)),
    ("invalid_api_key", Blame::of_status(401)),
    ("invalid_base64_image", Blame::of_status(400)),
    ("invalid_image", Blame::of_status(400)),
    ("invalid_image_format", Blame::of_status(400)),
    ("invalid_image_mode", Blame::of_status(400)),
    ("invalid_image_url", Blame::of_status(400)),
    ("invalid_prompt", Blame::of_status(400)),
    ("invalid_request_error", Blame::of_status(400)),
    ("model_not_found", Blame::of_status(404)),
    ("not_found_error", Blame::of_status(404)),
    ("not_supported_error", Blame::of_status(501)),
    ("overloaded", Blame::of_status(429)),
    ("permission_error", Blame::of_status(403)),
    ("rate_limit_error", Blame::of_status(429)),
    ("rate_limit_exceeded", Blame::of_status(429)),
    ("request_too_large", Blame::of_status(413)),
    ("unsupported_image_media_type", Blame::of_status(400)),
    ("validation", Blame::of_status(422)),
];

/// The names alone.
pub const CODES: [&str; NAMES.len()] = {
    let mut codes = [""; NAMES.len()];
    let mut index = 0;
    while index < codes.len() {
        codes[index] = NAMES[index].0;
        index += 1;
    }
    codes
};

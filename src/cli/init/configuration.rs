//! The text that `init` writes: an upstream for each kind of server, and routes to them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::iter;
use std::net::SocketAddr;

use super::apis::KnownApi;
use crate::control::identify::{FoundServer, ServerKind};

/// What stands for a model where none is known.
pub const NO_MODEL: &str = "MODEL";

/// A server that is to be in the file.
#[derive(Clone, Debug)]
pub struct PlannedServer {
    /// `host:port` or a URL, as it was said.
    pub written: String,
    /// `None`: it was not asked, or did not answer.
    pub found: Option<FoundServer>,
    /// Its host is known.
    pub api: Option<&'static KnownApi>,
    /// The variable that its key stands in, where one is known.
    pub key_env: Option<String>,
}

impl PlannedServer {
    /// One that is not known by its host; `found` is what it has answered.
    pub fn at(written: &str, found: Option<FoundServer>, key_env: Option<&str>) -> PlannedServer {
        let key_env = key_env.map(str::to_owned);
        PlannedServer { written: written.to_owned(), found, api: None, key_env }
    }

    pub fn of(api: &'static KnownApi, key_env: &str) -> PlannedServer {
        let key_env = Some(key_env.to_owned());
        PlannedServer { written: api.url(), found: None, api: Some(api), key_env }
    }

    fn name(&self) -> &'static str {
        self.api.map_or_else(|| name_of(self.kind()), |api| api.name)
    }

    /// The paths of its own API.
    fn own_paths(&self) -> impl Iterator<Item = &'static str> {
        let own = self.api.and_then(|api| api.own_path);
        own_paths(self.kind()).iter().copied().chain(own)
    }

    fn kind(&self) -> ServerKind {
        self.found.as_ref().map_or(ServerKind::Unknown, |found| found.kind)
    }

    fn models(&self) -> &[String] {
        self.found.as_ref().map_or(&[], |found| &found.models)
    }
}

/// What the file is to say.
#[derive(Clone, Debug)]
pub struct Plan {
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    /// At least one.
    pub servers: Vec<PlannedServer>,
    /// APIs whose key is here, as a comment.
    pub spare: Vec<&'static KnownApi>,
}

/// Servers that have the same, as far as anybody knows: one upstream.
struct Group<'p> {
    name: String,
    servers: Vec<&'p PlannedServer>,
}

impl Group<'_> {
    fn first(&self) -> &PlannedServer {
        self.servers[0]
    }

    /// Whether nobody knows what its models are called.
    fn has_no_names(&self) -> bool {
        let first = self.first();
        first.models().is_empty() && first.api.and_then(pattern).is_none()
    }

    fn has(&self, server: &PlannedServer) -> bool {
        let first = self.first();
        let asked = |server: &PlannedServer| server.found.is_some();
        // Of one that does not answer nobody knows what it has. An `https` that is not known is somebody's API, with
        // models of its own; the others are taken for replicas.
        let is_replica =
            asked(server) || server.api.is_none() && !is_sealed(server) && !is_sealed(first);
        is_replica
            && asked(first) == asked(server)
            && (first.kind(), first.models()) == (server.kind(), server.models())
            && (first.api, &first.key_env) == (server.api, &server.key_env)
    }
}

fn is_sealed(server: &PlannedServer) -> bool {
    server.written.starts_with("https://")
}

/// Which group every other model is asked of: the first, unless its models are known by name and those of another
/// are not. What was meant for a server of one's own goes to no API for that.
fn of_others(groups: &[Group<'_>]) -> usize {
    let begins_with_api = groups.first().is_some_and(|group| group.first().api.is_some());
    let may_be = |group: &Group<'_>| {
        group.has_no_names() && (begins_with_api || group.first().api.is_none())
    };
    groups.iter().position(may_be).unwrap_or(0)
}

impl Plan {
    /// The server that is asked for every model that no other is known to have.
    pub fn of_others(&self) -> Option<&PlannedServer> {
        let groups = self.groups();
        groups.get(of_others(&groups)).map(|group| group.servers[0])
    }

    /// The upstreams that no request reaches before somebody writes down what their models are called.
    pub fn nameless(&self) -> Vec<String> {
        let groups = self.groups();
        let names = names(&groups);
        let is_reached = |index: usize| !names[index].is_empty() || index == of_others(&groups);
        let unreached = groups.iter().enumerate().filter(|(index, _)| !is_reached(*index));
        unreached.map(|(_, group)| group.name.clone()).collect()
    }

    /// The model to begin with.
    pub fn model(&self) -> &str {
        let models = self.servers.iter().flat_map(|server| server.models());
        models.map(String::as_str).next().unwrap_or(NO_MODEL)
    }

    /// The configuration.
    pub fn text(&self) -> String {
        let groups = self.groups();
        let mut out = String::new();
        // Writing to a String cannot fail, so the result says nothing.
        let _ = self.write(&groups, &mut out);
        out
    }

    fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: Vec<Group<'_>> = Vec::new();
        for server in &self.servers {
            match groups.iter_mut().find(|group| group.has(server)) {
                Some(group) => group.servers.push(server),
                None => {
                    let name = server.name();
                    let used = groups.iter().filter(|group| {
                        group.name == name || group.name.starts_with(&format!("{name}-"))
                    });
                    let name = match used.count() {
                        0 => name.to_owned(),
                        count => format!("{name}-{}", count + 1),
                    };
                    groups.push(Group { name, servers: vec![server] });
                }
            }
        }
        groups
    }

    fn write(&self, groups: &[Group<'_>], out: &mut String) -> std::fmt::Result {
        let Plan { listen, admin, .. } = self;
        write!(
            out,
            "# Written by `sluicegate init`. `sluicegate check --config FILE` prints this with every default\n\
             # filled in; docs/configuration.md has all keys.\n\n\
             [server]\n\
             # Where clients connect. \"0.0.0.0:{port}\" lets other machines in as well.\n\
             listen = [\"{listen}\"]\n\n\
             [admin]\n\
             # The dashboard, metrics, and what `sluicegate top` looks at.\n\
             listen = \"{admin}\"\n",
            port = listen.port()
        )?;
        for group in groups {
            self.upstream(group, out)?;
        }
        routes(groups, out)?;
        self.spare.iter().try_for_each(|api| spare(api, out))
    }

    fn upstream(&self, group: &Group<'_>, out: &mut String) -> std::fmt::Result {
        let first = group.first();
        let models = match first.models() {
            [] => String::new(),
            models => format!(", with {}", models.join(", ").replace(char::is_control, " ")),
        };
        let title = match (first.api, &first.found) {
            (Some(api), _) => api.title.to_owned(),
            (None, Some(_)) => format!("{}{models}", first.kind().title()),
            (None, None) => "Nothing is known of it: it is taken to have OpenAI's API".to_owned(),
        };
        let endpoints: Vec<_> =
            group.servers.iter().map(|server| format!("{:?}", server.written)).collect();
        write!(
            out,
            "\n# {title}.\n[[upstream]]\nname = \"{}\"\nendpoints = [{}]\n",
            group.name,
            endpoints.join(", ")
        )?;
        if let Some(path) = first.found.as_ref().and_then(|found| found.health) {
            writeln!(out, "# Asked every five seconds, so that a server that is down is known.")?;
            writeln!(out, "health = {{ path = \"{path}\" }}")?;
        }
        if first.kind() == ServerKind::Ollama {
            writeln!(out, "# Ollama takes requests to its own name alone.\nhost = \"endpoint\"")?;
        }
        let found = first.found.as_ref();
        let is_asked = found.is_some_and(|found| !found.takes_messages && !found.wants_key);
        if is_asked && first.kind() != ServerKind::Unknown {
            writeln!(out, "# It has no /v1/messages: Anthropic's clients are translated.")?;
            writeln!(out, "translate_to = \"openai\"")?;
        }
        if let Some(api) = first.api {
            writeln!(out, "{}", about_dialect(api))?;
            dialect(api, out)?;
        }
        match &first.key_env {
            Some(name) => writeln!(
                out,
                "# Read from the environment when the gateway starts; clients need none.\n\
                 api_key = {{ env = {name:?} }}"
            ),
            None if first.found.as_ref().is_some_and(|found| found.wants_key) => writeln!(
                out,
                "# It wants a key: clients send their own, or the gateway sends one from its \
                 environment.\n# api_key = {{ env = \"{}_API_KEY\" }}",
                group.name.to_uppercase().replace('-', "_")
            ),
            None => Ok(()),
        }
    }
}

/// Why its upstream says what [`dialect`] writes.
fn about_dialect(api: &KnownApi) -> &'static str {
    match api.translate_to {
        Some("openai") => "# Anthropic's clients are translated, and those of OpenAI's responses.",
        Some(_) => "# OpenAI's clients are translated, and the key goes in its own field.",
        None => {
            "# Anthropic's clients too: translate_to = \"openai\". OpenAI's responses go as chats then."
        }
    }
}

/// In which dialect it is asked.
fn dialect(api: &KnownApi, out: &mut String) -> std::fmt::Result {
    if let Some(service) = api.service {
        writeln!(out, "service = \"{service}\"")?;
    }
    match api.translate_to {
        Some(dialect) => writeln!(out, "translate_to = \"{dialect}\""),
        None => Ok(()),
    }
}

/// Its models, in a `when`.
fn pattern(api: &KnownApi) -> Option<String> {
    (!api.models.is_empty()).then(|| format!("\"{}*\"", api.models))
}

/// An API as a comment: what stands behind `# ` is a configuration.
fn spare(api: &KnownApi, out: &mut String) -> std::fmt::Result {
    let KnownApi { title, name, variable, .. } = api;
    let mut text = format!("[[upstream]]\nname = \"{name}\"\nendpoints = [\"{}\"]\n", api.url());
    dialect(api, &mut text)?;
    let model = pattern(api).unwrap_or_else(|| placeholder(name));
    write!(
        text,
        "api_key = {{ env = \"{variable}\" }}\n[[route]]\npath = \"/v1/*\"\n\
         when = {{ model = [{model}] }}\nupstream = \"{name}\"\n"
    )?;
    writeln!(out, "\n# {variable} is set. For {title} as well, take the marks away:")?;
    text.lines().try_for_each(|line| writeln!(out, "# {line}"))
}

/// What an upstream is called by default.
fn name_of(kind: ServerKind) -> &'static str {
    match kind {
        ServerKind::LlamaCpp => "llama-cpp",
        ServerKind::Vllm => "vllm",
        ServerKind::Sglang => "sglang",
        ServerKind::Ollama => "ollama",
        ServerKind::Tgi => "tgi",
        ServerKind::LmStudio => "lm-studio",
        ServerKind::OpenAi | ServerKind::Unknown => "models",
    }
}

/// The paths of a server's own API.
fn own_paths(kind: ServerKind) -> &'static [&'static str] {
    match kind {
        ServerKind::LlamaCpp => &["/completion", "/infill", "/props", "/tokenize", "/slots"],
        ServerKind::Ollama => &["/api/*"],
        ServerKind::Sglang => &["/generate"],
        ServerKind::Tgi => &["/generate", "/generate_stream", "/info"],
        _ => &[],
    }
}

fn routes(groups: &[Group<'_>], out: &mut String) -> std::fmt::Result {
    if let [one] = groups {
        write!(out, "\n[[route]]\npath = \"/v1/*\"\nupstream = \"{}\"\n", one.name)?;
    } else {
        by_model(groups, out)?;
    }
    let mut taken = BTreeSet::new();
    for group in groups {
        for path in group.first().own_paths().filter(|path| taken.insert(*path)) {
            write!(out, "\n[[route]]\npath = \"{path}\"\nupstream = \"{}\"\n", group.name)?;
        }
    }
    Ok(())
}

/// What a `when` of each group asks for. The first server with a model has it.
fn names(groups: &[Group<'_>]) -> Vec<Vec<String>> {
    let mut told = BTreeSet::new();
    let of_group = |group: &Group<'_>| {
        let first = group.first();
        let names = first.models().iter().flat_map(|model| called(first.kind(), model));
        let names = names.filter(|name| is_plain(name) && told.insert(name.to_string()));
        let mut names: Vec<_> = names.map(|name| format!("{name:?}")).collect();
        names.extend(first.api.and_then(pattern));
        names
    };
    groups.iter().map(of_group).collect()
}

/// What clients call this model: to Ollama a name without its tag is the latest.
fn called(kind: ServerKind, model: &str) -> impl Iterator<Item = &str> {
    let bare = model.strip_suffix(":latest").filter(|_| kind == ServerKind::Ollama);
    iter::once(model).chain(bare)
}

/// Where several upstreams are, the model says which one is meant.
fn by_model(groups: &[Group<'_>], out: &mut String) -> std::fmt::Result {
    write!(
        out,
        "\n# What all servers have, in one list.\n\
         [[route]]\npath = \"/v1/models\"\nmodels = \"all\"\n\
         \n[[route]]\npath = \"/v1/models/*\"\nmodels = \"all\"\n"
    )?;
    let others = of_others(groups);
    for (index, (group, names)) in groups.iter().zip(names(groups)).enumerate() {
        let (comment, names) = match names.is_empty() {
            false => ("", names.join(", ")),
            true if index == others => continue,
            true => ("\n# Write what its models are called.", placeholder(&group.name)),
        };
        write!(
            out,
            "{comment}\n[[route]]\npath = \"/v1/*\"\nwhen = {{ model = [{names}] }}\nupstream = \"{}\"\n",
            group.name
        )?;
    }
    write!(
        out,
        "\n# Every other model.\n[[route]]\npath = \"/v1/*\"\nupstream = \"{}\"\n",
        groups[others].name
    )
}

/// Stands for names that somebody else knows: a pattern, so that no list of models has it.
fn placeholder(name: &str) -> String {
    format!("\"MODEL-of-{name}*\"")
}

/// A name that stands for itself in a `when`.
fn is_plain(model: &str) -> bool {
    (1..=256).contains(&model.len())
        && model.bytes().all(|byte| byte.is_ascii_graphic() && !b"*\\\"".contains(&byte))
}

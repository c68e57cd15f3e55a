use std::io::Write as _;

use nix_formats::nar::Writer;

use super::*;

const LIMITS: GraphLimits = GraphLimits {
    count: 100,
    bytes: 1 << 20,
};

/// What a process writes after its answer.
#[derive(Default)]
struct Output(Vec<u8>);

impl Output {
    fn add(mut self, piece: &Piece, bytes: &[u8]) -> Self {
        serde_json::to_writer(&mut self.0, piece).unwrap();
        self.0.push(b'\n');
        self.0.extend_from_slice(bytes);
        self
    }

    fn derivation(self, path: &StorePath, aterm: &[u8]) -> Self {
        let piece = Piece::Derivation {
            path: path.base_name().to_owned(),
            size: aterm.len() as u64,
        };
        self.add(&piece, aterm)
    }

    fn source(self, path: &StorePath, content_address: ContentAddress, nar: &[u8]) -> Self {
        let piece = Piece::Source {
            path: path.base_name().to_owned(),
            references: Vec::new(),
            content_address: content_address.to_string(),
            size: nar.len() as u64,
        };
        self.add(&piece, nar)
    }

    fn read(self, limits: GraphLimits) -> Result<Graph, GraphError> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&self.add(&Piece::End, b"").0).unwrap();
        file.rewind().unwrap();
        Graph::read(BufReader::new(file), limits)
    }
}

fn instantiated(
    name: &str,
    inputs: &[(&StorePath, HashModulo)],
) -> (Derivation, nix_formats::derivation::Instantiated) {
    let out = || BTreeSet::from(["out".to_owned()]).into();
    let mut derivation = Derivation {
        name: name.to_owned(),
        outputs: [("out".to_owned(), DerivationOutput::Deferred)].into(),
        input_derivations: inputs
            .iter()
            .map(|(path, _)| ((*path).clone(), out()))
            .collect(),
        platform: b"x86_64-linux".to_vec(),
        builder: b"/bin/sh".to_vec(),
        ..Derivation::default()
    };
    let done = derivation.instantiate::<DerivationError>(&StoreDir::default(), |path| {
        let known = inputs.iter().find(|(input, _)| *input == path);
        Ok(known.unwrap().1)
    });
    (derivation, done.unwrap())
}

fn nar(contents: &[u8], executable: bool) -> Vec<u8> {
    let mut nar = Writer::new(Vec::new());
    nar.file(executable, contents).unwrap();
    nar.finish().unwrap()
}

#[test]
fn derivations_are_what_their_paths_say() {
    let (_, library) = instantiated("library", &[]);
    let (_, program) = instantiated("program", &[(&library.path, library.modulo)]);
    // In any order.
    let output = Output::default().derivation(&program.path, &program.aterm);
    let graph = output
        .derivation(&library.path, &library.aterm)
        .read(LIMITS);
    let graph = graph.unwrap();
    assert!(graph.derivation(&program.path).unwrap().is_some());

    let missing = Output::default().derivation(&program.path, &program.aterm);
    let error = missing.read(LIMITS).unwrap_err();
    assert!(matches!(error, GraphError::MissingInput { .. }), "{error}");

    let swapped = Output::default().derivation(&program.path, &library.aterm);
    let error = swapped.read(LIMITS).unwrap_err();
    assert!(matches!(error, GraphError::OtherDerivation(_)), "{error}");
}

#[test]
fn a_derivation_that_would_make_the_output_of_another_is_refused() {
    let (victim, _) = instantiated("openssl", &[]);
    let (mut forged, _) = instantiated("openssl", &[]);
    forged.args = vec![b"-c".to_vec(), b"evil".to_vec()];
    assert_eq!(forged.outputs, victim.outputs);
    let store_dir = StoreDir::default();
    let aterm = forged.to_aterm(&store_dir).unwrap();
    let path = forged.store_path(&store_dir, &aterm).unwrap();
    let error = Output::default().derivation(&path, &aterm).read(LIMITS);
    let error = error.unwrap_err();
    assert!(matches!(error, GraphError::OtherDerivation(_)), "{error}");
}

#[test]
fn sources_are_what_their_paths_say() {
    let store_dir = StoreDir::default();
    let text = b"a text\n";
    let path = store_dir
        .make_text_path("text", text, &BTreeSet::new())
        .unwrap();
    let address = |method, bytes: &[u8]| ContentAddress {
        method,
        hash: HashAlgorithm::Sha256.digest(bytes),
    };
    let of_text = address(ContentAddressMethod::Text, text);
    let good = nar(text, false);
    let graph = Output::default().source(&path, of_text, &good).read(LIMITS);
    let graph = graph.unwrap();
    let info = graph.info(&path).unwrap();
    assert_eq!(
        (info.nar_hash, info.nar_size),
        (NarHash::of(&good), good.len() as u64)
    );
    let mut written = Vec::new();
    graph.write_nar(&info, &mut written).unwrap();
    assert_eq!(written, good);

    for (what, address, nar) in [
        ("other contents", of_text, nar(b"another\n", false)),
        ("an executable", of_text, nar(text, true)),
        (
            "another method",
            address(ContentAddressMethod::Recursive, &good),
            good.clone(),
        ),
        (
            "more than a NAR",
            of_text,
            [good.clone(), vec![0; 8]].concat(),
        ),
        ("less than a NAR", of_text, good[..good.len() - 8].to_vec()),
        ("no NAR", of_text, text.to_vec()),
    ] {
        let read = Output::default().source(&path, address, &nar).read(LIMITS);
        let error = read.expect_err(what);
        let is_refused = matches!(error, GraphError::OtherSource(_) | GraphError::Nar { .. });
        assert!(is_refused, "{what}: {error}");
    }
}

#[test]
fn what_is_too_much_is_refused_before_it_is_read() {
    let (_, one) = instantiated("one", &[]);
    let count = GraphLimits { count: 0, ..LIMITS };
    let error = Output::default()
        .derivation(&one.path, &one.aterm)
        .read(count);
    assert!(matches!(error, Err(GraphError::Limits(_))));
    let huge = Piece::Derivation {
        path: one.path.base_name().to_owned(),
        size: u64::MAX,
    };
    let error = Output::default().add(&huge, b"").read(LIMITS);
    assert!(matches!(error, Err(GraphError::Limits(_))));
    let error = Output::default().add(&Piece::End, b"").0;
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&error[..error.len() - 4]).unwrap();
    file.rewind().unwrap();
    let error = Graph::read(BufReader::new(file), LIMITS);
    assert!(matches!(error, Err(GraphError::Form(_))));
}

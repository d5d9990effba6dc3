// The edge between two boxes: its YAML, and in words whether the two fit.

const edgeName = (tap) => {
  const name = tap.replace(/[^A-Za-z0-9_-]+/g, "_").replace(/^_+|_+$/g, "");
  return /^[A-Za-z]/.test(name) ? name : `edge_${name}`;
};

// A tap name as YAML: bare where it cannot be read as anything else.
const scalar = (name) => (/^[A-Za-z_][\w.-]*$/.test(name) ? name : JSON.stringify(name));

function yamlOf(student, teacher) {
  const [ours, theirs] = [student.names[0], teacher.names[0]];
  const taps = ours === theirs ? scalar(ours) : `{student: ${scalar(ours)}, teacher: ${scalar(theirs)}}`;
  return `edges:\n  ${edgeName(ours)}:\n    taps: ${taps}\n    criterion: ${criterionFor(student)}\n${taught(teacher)}`;
}

// Features that are no maps have no channels to compare one by one.
const criterionFor = (box) =>
  box.layout === "features" && box.shape?.length !== 3 ? "mimic" : scene.criteria[box.layout];

// With several teachers an edge says whose box it is.
const taught = (teacher) => (roles.length > 2 ? `    teacher: ${scalar(teacher.role)}\n` : "");

// {yaml: text or null, fits: "yes" | "adapted" | "unsure" | "no", words}
function compare(student, teacher) {
  const refused = whyNot(student, teacher);
  if (refused) return { yaml: null, fits: "no", words: refused };
  return { yaml: yamlOf(student, teacher), ...fitting(student, teacher) };
}

function whyNot(student, teacher) {
  for (const it of [student, teacher]) {
    if (!it.shape && it.names.length > 1)
      return `${it.title} has several values, ${it.names.join(", ")}: show the layers (2) and pick one of them.`;
    if (!it.layout || !it.names.length)
      return `${it.title} of the ${it.role} has no value that can be tapped.`;
  }
  if (student.layout !== teacher.layout) {
    return `${layoutName(student.layout)} and ${layoutName(teacher.layout)} cannot be compared`;
  }
  if (!scene.criteria[student.layout]) {
    return `No criterion is suggested for ${layoutName(student.layout)}; \`kdgraph methods\` lists what there is.`;
  }
  return null;
}

function fitting(student, teacher) {
  const [ours, theirs] = [sizes(student.shape), sizes(teacher.shape)];
  if (!ours || !theirs)
    return {
      fits: "unsure",
      words: "Their shapes are not known here; `kdgraph check` tells whether they fit.",
    };
  if (student.stride && teacher.stride && student.stride !== teacher.stride)
    return {
      fits: "unsure",
      words: `Other levels: ${ours} at stride ${student.stride}, ${theirs} at stride ${teacher.stride}. It can be resized, but is it meant?`,
    };
  if (ours === theirs) return { fits: "yes", words: `Equal shapes, ${ours}: no adapter is needed.` };
  if (student.layout === "features") {
    return { fits: "adapted", words: `The adapter \`auto\` brings ${ours} to ${theirs}.` };
  }
  if (student.shape[0] === teacher.shape[0]) {
    return {
      fits: "adapted",
      words: `Same channels, other size: the adapter \`auto\` resizes ${ours} to ${theirs}.`,
    };
  }
  const what =
    student.layout === "cls"
      ? "classes of equal names are matched"
      : "`kdgraph check` tells whether they fit";
  return {
    fits: "unsure",
    words: `${ours} and ${theirs}: channels of ${layoutName(student.layout)} are never mixed; ${what}.`,
  };
}

// The edge that the selection asks for, or null. A page of one model needs one box: both sides are of its
// kind.
function chosenEdge() {
  const chosen = selection();
  if (sides.length === 1) return chosen.length ? alone(scene.boxes[chosen[0]]) : null;
  if (chosen.length < 2) return null;
  return compare(...sides.map((name) => scene.boxes[state.selected[name]]));
}

function alone(box) {
  const refused = whyNot(box, box);
  if (refused) return { yaml: null, fits: "no", words: refused };
  const words = "It compares this tap of the student with the teacher's of the same name.";
  return { yaml: yamlOf(box, box), fits: "adapted", words };
}

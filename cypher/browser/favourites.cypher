// Questions for Neo4j Browser, one a paragraph, each with a comment, its parameters, an index-backed start and a LIMIT.
// In Browser: run a paragraph's :param lines, then its query; a star beside the editor keeps it as a favourite, named
// by its comment. cypher-shell runs the whole file. Colours: style.grass. A walk through them: docs/neo4j.md.
// C0032227 is pleural effusion, C0018800 cardiomegaly; the first question finds the id of any other finding.

// Which concept is meant: those whose name begins with these letters (capitals count)
:param words => 'Pleural';
MATCH (c:Concept)
WHERE c.name STARTS WITH $words
RETURN c
ORDER BY c.name
LIMIT 25;

// One report: what it mentions, and how the mentions relate
:param study => 'examples:ex001';
MATCH path = (s:Study {id: $study})-[:mentions]->(m:Observation|Anatomy)
OPTIONAL MATCH relation = (m)-[:located_at|modify|suggestive_of]->(:Observation|Anatomy)
RETURN path, relation
LIMIT 200;

// One report, read as findings: present, uncertain and absent, each in its colour
:param study => 'examples:ex001';
MATCH path = (s:Study {id: $study})-[:has_present|has_uncertain|has_absent]->(c:Concept)
OPTIONAL MATCH picture = (s)-[:has_image]->(:Image)
RETURN path, picture
LIMIT 100;

// One finding: studies that have it, may have it, and deny it
:param finding => 'C0032227';
MATCH (c:Concept {id: $finding})
MATCH path = (c)<-[:has_present|has_uncertain|has_absent]-(s:Study)
RETURN path
LIMIT 60;

// Where a finding is said to be: its sites, by number of studies
:param finding => 'C0032227';
MATCH path = (c:Concept {id: $finding})-[e:concept_located_at]->(site:Concept)
WHERE e.presence = 'present'
RETURN path
ORDER BY e.n_studies DESC
LIMIT 25;

// The neighbourhood of a finding in the knowledge graph proper: what modifies it, what it suggests, what suggests it
:param finding => 'C0032227';
:param min_studies => 2;
MATCH path = (c:Concept {id: $finding})-[e:concept_located_at|concept_modify|concept_suggestive_of]-(other:Concept)
WHERE e.n_studies >= $min_studies
RETURN path
ORDER BY e.n_studies DESC
LIMIT 60;

// Two findings in one study
:param finding => 'C0032227';
:param other => 'C0018800';
MATCH (a:Concept {id: $finding})
MATCH (b:Concept {id: $other})
MATCH path = (a)<-[:has_present]-(s:Study)-[:has_present]->(b)
RETURN path
LIMIT 30;

// One patient over time: studies in order, and what is present in each
:param patient => 'examples:p01';
MATCH history = (p:Patient {id: $patient})-[:has_study]->(s:Study)
OPTIONAL MATCH before = (s)-[:follows]->(:Study)
OPTIONAL MATCH finding = (s)-[:has_present|has_uncertain]->(:Concept)
RETURN history, before, finding
LIMIT 150;

// Denied in one study, there in the patient's next one
:param finding => 'C0032227';
MATCH (c:Concept {id: $finding})<-[:has_present]-(after:Study)
MATCH path = (after)-[:follows]->(before:Study)-[denied:has_absent]->(c)
WHERE denied.qualified = false
RETURN path, [(after)-[now:has_present]->(c) | now] AS present
LIMIT 25;

// From the words to the concept: who said so, where in the report, and by which rule
:param finding => 'C0032227';
MATCH (c:Concept {id: $finding})
MATCH path = (c)<-[:linked_to]-(m:Observation)<-[:mentions]-(s:Study)
RETURN path
LIMIT 25;

// Reports that say of one finding both that it is there and that it is not: the first list to read by hand
:param finding => 'C0032227';
MATCH (c:Concept {id: $finding})<-[:has_absent]-(s:Study)
MATCH path = (c)<-[:has_present|has_absent]-(s)
WHERE (s)-[:has_present]->(c)
RETURN path
LIMIT 40;

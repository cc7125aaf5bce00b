// What the graph needs before anything is written: a key per label, and the indexes that the shipped queries start from.
// Run it once on a database that was filled by neo4j-admin; `kgbuild load --store neo4j` runs it by itself.
CREATE CONSTRAINT kgbuild_meta_id IF NOT EXISTS FOR (n:Kgbuild) REQUIRE n.id IS UNIQUE;
CREATE CONSTRAINT kgbuild_patient_id IF NOT EXISTS FOR (n:Patient) REQUIRE n.id IS UNIQUE;
CREATE CONSTRAINT kgbuild_study_id IF NOT EXISTS FOR (n:Study) REQUIRE n.id IS UNIQUE;
CREATE CONSTRAINT kgbuild_image_id IF NOT EXISTS FOR (n:Image) REQUIRE n.id IS UNIQUE;
CREATE CONSTRAINT kgbuild_observation_id IF NOT EXISTS FOR (n:Observation) REQUIRE n.id IS UNIQUE;
CREATE CONSTRAINT kgbuild_anatomy_id IF NOT EXISTS FOR (n:Anatomy) REQUIRE n.id IS UNIQUE;
CREATE CONSTRAINT kgbuild_concept_id IF NOT EXISTS FOR (n:Concept) REQUIRE n.id IS UNIQUE;
CREATE INDEX kgbuild_concept_name IF NOT EXISTS FOR (n:Concept) ON (n.name);
CREATE INDEX kgbuild_concept_kind IF NOT EXISTS FOR (n:Concept) ON (n.kind);
CREATE INDEX kgbuild_study_dataset IF NOT EXISTS FOR (n:Study) ON (n.dataset);
CREATE INDEX kgbuild_study_n_tokens IF NOT EXISTS FOR (n:Study) ON (n.n_tokens);
CREATE INDEX kgbuild_image_view IF NOT EXISTS FOR (n:Image) ON (n.view);

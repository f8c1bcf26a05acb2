-- A patient record of synthetic people: the same rows at every build, no real person, no real number.
SET ROLE dpi_app;
BEGIN;

CREATE TABLE patients (
    ipp        text PRIMARY KEY CHECK (ipp ~ '^IPP[0-9]{7}$'),
    nom        text NOT NULL,
    prenom     text NOT NULL,
    naissance  date NOT NULL,
    sexe       char(1) NOT NULL CHECK (sexe IN ('F', 'M')),
    commune    text NOT NULL,
    cree_le    timestamptz NOT NULL
);
COMMENT ON TABLE patients IS 'Identités fictives';

CREATE TABLE sejours (
    numero     bigint PRIMARY KEY,
    ipp        text NOT NULL REFERENCES patients,
    service    text NOT NULL,
    entree     timestamptz NOT NULL,
    sortie     timestamptz,
    motif      text NOT NULL,
    CHECK (sortie IS NULL OR sortie >= entree)
);
CREATE INDEX sejours_ipp ON sejours (ipp);

CREATE TABLE ordonnances (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sejour      bigint NOT NULL REFERENCES sejours,
    prescripteur text NOT NULL,
    prescrite_le timestamptz NOT NULL,
    medicament  text NOT NULL,
    posologie   text NOT NULL,
    jours       integer NOT NULL CHECK (jours BETWEEN 1 AND 90)
);

INSERT INTO patients
SELECT 'IPP' || lpad((1000000 + n)::text, 7, '0'),
       (ARRAY['MARTIN', 'LEFÈVRE', 'BEN SAÏD', 'D''ANGELO', 'GARCIA', 'NGUYEN', 'MÜLLER', 'ROUSSEAU', 'LE GOFF',
              'FRANÇOIS', 'DA SILVA', 'KOUASSI', 'PETIT', 'GIRARD', 'OUÉDRAOGO', 'SAINT-MARC'])[1 + (n * 7) % 16],
       CASE WHEN n % 2 = 0
            THEN (ARRAY['Hélène', 'Aïcha', 'Zoé', 'Françoise', 'Maëlys', 'Inès', 'Jeanne'])[1 + n % 7]
            ELSE (ARRAY['Jérôme', 'Noël', 'Mehdi', 'Gaël', 'René', 'Loïc', 'Étienne'])[1 + n % 7] END,
       DATE '1931-01-15' + (n * 2711) % 32000,
       CASE WHEN n % 2 = 0 THEN 'F' ELSE 'M' END,
       (ARRAY['Bressuire', 'Thouars', 'Parthenay', 'Cholet', 'Saint-Maixent-l''École', 'Niort'])[1 + (n * 5) % 6],
       TIMESTAMPTZ '2024-01-02 08:00+01' + n * INTERVAL '3 hours 17 minutes'
FROM generate_series(1, 240) AS n;

INSERT INTO sejours
SELECT 26000000 + n,
       'IPP' || lpad((1000001 + (n * 37) % 240)::text, 7, '0'),
       (ARRAY['Urgences', 'Cardiologie', 'Maternité', 'Chirurgie', 'Gériatrie', 'Pédiatrie'])[1 + (n * 11) % 6],
       TIMESTAMPTZ '2026-01-03 06:30+01' + n * INTERVAL '11 hours 5 minutes',
       CASE WHEN n <= 380 THEN TIMESTAMPTZ '2026-01-03 06:30+01' + n * INTERVAL '11 hours 5 minutes'
                               + (1 + n % 9) * INTERVAL '1 day' END,
       (ARRAY['Douleur thoracique', 'Chute à domicile', 'Accouchement', 'Bilan préopératoire',
              'Dyspnée fébrile', 'Suivi'])[1 + (n * 11) % 6]
FROM generate_series(1, 400) AS n;

INSERT INTO ordonnances (sejour, prescripteur, prescrite_le, medicament, posologie, jours)
SELECT 26000001 + (n * 13) % 400,
       (ARRAY['clemoine', 'jroux', 'clemoine'])[1 + n % 3],
       TIMESTAMPTZ '2026-01-03 09:00+01' + ((n * 13) % 400) * INTERVAL '11 hours 5 minutes',
       (ARRAY['Paracétamol 1 g', 'Amoxicilline 500 mg', 'Énoxaparine 4000 UI', 'Bisoprolol 2,5 mg',
              'Furosémide 40 mg', 'Oméprazole 20 mg'])[1 + (n * 5) % 6],
       (ARRAY['1 matin, midi et soir', '1 le matin', '1 toutes les 8 h', '1 le soir'])[1 + (n * 3) % 4],
       1 + (n * 7) % 30
FROM generate_series(1, 900) AS n;

GRANT SELECT ON ALL TABLES IN SCHEMA public TO dpi_lecture;
COMMIT;

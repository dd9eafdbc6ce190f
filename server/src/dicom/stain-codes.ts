/**
 * Codes of stains: CID 8112 Specimen Stain and CID 8130 Staining Protocol (PS3.16), in SNOMED CT and in the SNOMED RT
 * of older files. Which codes H&E may contain, and which it may not.
 */

interface StainCode {
  readonly name: string;
  /** SNOMED CT code. */
  readonly sct: string;
  /** SNOMED RT code. */
  readonly srt?: string;
}

function list(lines: string): StainCode[] {
  return lines
    .trim()
    .split('\n')
    .map((line) => {
      const [sct, srt, ...name] = line.trim().split(' ');
      return { sct: sct!, ...(srt !== '-' && { srt: srt! }), name: name.join(' ') };
    });
}

/** Haematoxylin and eosin, each or both. */
const HAEMATOXYLIN = list(`
  12710003 C-22968 haematoxylin
  75956008 C-22967 haematein
`);
const EOSIN = list(`
  36879007 C-22919 water soluble eosin
  83600004 C-22920 spirit soluble eosin
  1346008 C-22921 blue shade eosin
  763042003 - eosin Y
`);
const BOTH = list('104210008 P3-50495 haematoxylin and eosin');

/**
 * Stains that make a slide something other than H&E. Not listed: what some laboratories combine with H&E (saffron,
 * phloxine, erythrosine), and what marks margins or was given to the patient (India ink, patent blue, indigo carmine).
 */
const OTHER = list(`
  117617002 - immunohistochemistry
  406867009 - immunofluorescence
  255800009 C-22817 immunofluorescence
  35352008 C-22A00 fluorescent stain
  67122001 P3-50480 acid fast stain
  255792001 C-2280A acid phosphatase
  255793006 C-2280B Albert's stain
  4656000 C-22963 Alcian blue
  406981005 C-2286D aldehyde fuchsin
  65580004 C-22953 alizarin red S
  406971006 C-2285B alkaline phosphatase
  406990003 C-2287E aniline blue
  88625006 C-22904 aniline blue
  11645004 C-22906 aniline blue
  255794000 C-2280C auramine
  81397005 C-22A01 auramine O
  76048000 C-22929 azocarmine G
  16836001 C-22945 azure A
  8926000 C-22946 azure B
  11069001 C-22944 azure C
  76605005 C-22866 Biebrich scarlet
  85190005 C-22848 Bismarck brown Y
  8342001 C-22934 brilliant cresyl blue
  764166003 - carbol fuchsin
  73892005 C-22971 carmine
  38707008 C-22936 celestine blue B
  255796003 C-2280E chloroacetate esterase
  406973009 C-2285D chloroacetate esterase
  85981002 C-22838 chromotrope 2R
  406952009 C-22837 colloidal iron
  45106005 C-22851 Congo red
  406960005 C-22847 cresyl echt violet
  406959000 C-22840 cresyl violet
  22931006 C-22854 Evans blue
  34700000 C-22883 fast blue B
  91295002 C-22881 fast blue BB
  64112001 C-22878 fast blue RR
  24167004 C-22886 fast green FCF
  40718007 C-22876 fast red B
  76633005 C-22875 fast red TR
  255797007 C-2280F Feulgen reaction
  406980006 C-2286C Fouchet's stain
  60920007 C-22902 acid fuchsin
  50062004 C-22889 basic fuchsin
  373646006 F-61968 Giemsa
  255801008 C-22818 Jenner-Giemsa
  255803006 C-2281A May-Gruenwald-Giemsa
  385484003 C-22830 Gram
  255802001 C-22819 Leishman
  89139001 C-22887 light green SF
  406958008 C-2283F Luxol fast blue
  27120008 C-22890 malachite green
  46139004 C-22802 Martius yellow
  9010006 C-22907 methyl blue
  22021002 C-22896 methyl green
  255804000 C-2281B methyl green pyronin
  387239001 F-61A76 methyl violet
  6725000 C-22947 methylene blue
  406991004 C-2287F modified trichrome
  406964001 C-2284B mucicarmine
  255805004 C-2281C myeloperoxidase
  67956008 C-22928 neutral red
  31714001 C-22891 new fuchsin
  77073008 C-22941 Nile blue
  78869007 C-22955 nuclear fast red
  40808006 C-22863 oil red O
  54221006 C-22832 orange G
  406966004 C-2284D orcein
  255808002 C-2281F periodic acid-Schiff (PAS)
  406974003 C-2285E peroxidase
  406967008 C-2284E phosphotungstic acid-haematoxylin
  65730007 C-22829 Ponceau 3R
  89856006 C-22868 Ponceau S
  70520000 C-22828 Ponceau xylidine
  406993001 C-2288A protargol S (silver)
  406452004 C-13036 Prussian blue
  47030008 C-22974 Prussian blue
  43106008 C-22915 pyronine G
  255810000 C-2282A Romanowsky
  406988004 F-61DA5 safranin
  406985001 C-2287A silver nitrate
  406951002 C-22836 silver
  51567006 C-22874 Sirius red F3B
  314900004 C-2282D Sudan
  36572009 C-22864 Sudan black B
  310805002 C-2282E Sudan black
  39777001 C-22861 Sudan III
  69133007 C-22862 Sudan IV
  406995008 C-2288D thioflavine S
  61068006 C-22926 thioflavine T
  12001002 C-22943 thionine
  29522004 C-22951 toluidine blue
  406989007 C-2287D trichrome
  60441008 C-22853 trypan blue
  406957003 C-2283E van Gieson
  406992006 C-22880 Verhoeff's haematoxylin
  22749001 C-22913 Victoria blue B
  373682001 F-619B7 Wright
  255813003 C-2282C Ziehl-Neelsen
`);

/** What a code says about a stain. */
export type StainCodeMeaning = 'haematoxylin' | 'eosin' | 'he' | { readonly other: string };

const MEANINGS = new Map<string, StainCodeMeaning>(
  (
    [
      [HAEMATOXYLIN, () => 'haematoxylin'],
      [EOSIN, () => 'eosin'],
      [BOTH, () => 'he'],
      [OTHER, ({ name }) => ({ other: name })],
    ] as const satisfies [StainCode[], (code: StainCode) => StainCodeMeaning][]
  ).flatMap(([codes, meaning]) =>
    codes.flatMap((code) => [
      [`SCT ${code.sct}`, meaning(code)] as const,
      ...(code.srt === undefined ? [] : [[`SRT ${code.srt}`, meaning(code)] as const]),
    ]),
  ),
);

/** Coding scheme designators of SNOMED RT in old files. */
const SNOMED_RT = new Set(['SRT', 'SNM3', '99SDM']);

/** @returns undefined for a code that is not a stain, or that decides nothing */
export function stainOfCode(value: string, scheme: string): StainCodeMeaning | undefined {
  return MEANINGS.get(`${SNOMED_RT.has(scheme) ? 'SRT' : scheme} ${value}`);
}

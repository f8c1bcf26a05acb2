# Scanned documents: French names, several owners and modes, ACLs, extended attributes, links, an empty file, a sparse one.
export DEBIAN_FRONTEND=noninteractive
apt-get -q -q install -y acl attr >/dev/null
root=/srv/dpi/documents
install -d -m 2770 -o root -g dpi-soin /srv/dpi "$root"

person=0
for name in 'MARTIN Hélène' "D'ANGELO Jérôme" 'BEN SAÏD Aïcha' 'LE GOFF Loïc' 'OUÉDRAOGO Noël' 'MÜLLER Zoé'; do
    person=$((person + 1))
    folder="$root/IPP100000$person – $name"
    install -d -m 2770 -o clemoine -g dpi-soin "$folder"
    for kind in 'Compte rendu d’hospitalisation' 'Lettre de sortie' 'Résultats de biologie (n° 12)'; do
        file="$folder/$kind.txt"
        {
            printf '%s\nPatient fictif : %s\n\n' "$kind" "$name"
            seq -f "Ligne %03g : constantes stables, surveillance poursuivie." 1 $((person * 20))
        } > "$file"
        chown clemoine:dpi-soin "$file"
        chmod 640 "$file"
        touch -d "2026-0$person-11 10:2$person:30 +0100" "$file"
    done
done
person="$root/IPP1000001 – MARTIN Hélène"
chown jroux:dpi-soin "$person/Lettre de sortie.txt"
chmod 600 "$root/IPP1000003 – BEN SAÏD Aïcha/Compte rendu d’hospitalisation.txt"
setfacl -m u:postgres:r "$person/Résultats de biologie (n° 12).txt"
setfacl -d -m g:dpi-soin:rX "$root/IPP1000002 – D'ANGELO Jérôme"
setfattr -n user.dpi.visa -v 'validé' "$person/Lettre de sortie.txt"
ln -s '../IPP1000001 – MARTIN Hélène/Lettre de sortie.txt' "$root/IPP1000002 – D'ANGELO Jérôme/Mère – lettre.txt"
ln "$person/Lettre de sortie.txt" "$root/à relire.txt"
: > "$root/numérisation en cours.part"
truncate -s 8M "$root/image IRM – vide.dcm"
install -d -m 1777 "$root/dépôt"
touch -d '2026-07-01 08:00 +0200' "$root" "$root/dépôt"

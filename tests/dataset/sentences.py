"""Short sentences in five languages, as questions and answers have them: 44 of each, for what tells languages apart."""

from __future__ import annotations

SENTENCES: dict[str, tuple[str, ...]] = {
    language: tuple(line.strip() for line in lines.strip().splitlines())
    for language, lines in {
        "it": """
            La decisione la prende Agnese.
            Apri la porta e chiudi la finestra.
            Scrivi a Marta per la conferma.
            No, no, no: non si rilascia mai il venerdì.
            A che ora arriva il treno?
            La riunione comincia a mezzogiorno.
            Per me va bene la seconda.
            Prendi le chiavi e la borsa.
            Le note di Agnese, le trovi a casa.
            La luna, la terra e le stelle.
            La sera leggo, la mattina corro.
            In autunno le foglie cadono.
            Una mela, una pera, un limone.
            Un attimo, controllo la nota.
            Se piove resto a casa.
            La data di consegna è lunedì.
            Come procede la traduzione?
            Si parte la domenica, se tutto va bene.
            E la fattura?
            No, la fattura no.
            O la borsa o la vita.
            I conti tornano.
            I pazienti e i medici aspettano.
            Me la ricordo, la canzone.
            Da qui si vede la torre.
            La chiave la tiene Rosa.
            Le scelte le fa la capa.
            Che ne pensi?
            Dimmi la prima cosa da fare.
            La porta si apre a destra.
            Tu come la vedi?
            Ho perso la nota.
            Le mele costano due euro.
            La mia amica vive a Torino.
            Non lo so.
            Sul tavolo, accanto alla lampada.
            Lascia la finestra aperta, per favore.
            Te la mando domani.
            Va bene, la mando a Nicola.
            A Rosa la torta, a Ugo la pasta.
            La palestra apre a le otto.
            Non usare la cache in produzione.
            La base dati usa Postgres, la cache usa Redis.
            In tre, come sempre.
        """,
        "es": """
            La decisión la toma Inés.
            Abre la puerta y cierra la ventana.
            Escribe a Marta para la confirmación.
            No, no, no: nunca se publica el viernes.
            ¿A qué hora llega el tren?
            La reunión empieza a mediodía.
            Para mí está bien la segunda.
            Coge las llaves y el bolso.
            La luna, la tierra y las estrellas.
            Por la noche leo, por la mañana corro.
            En otoño caen las hojas.
            Una manzana, una pera y un limón.
            Un momento, miro la nota.
            Si llueve me quedo en casa.
            La fecha de entrega es el lunes.
            ¿Cómo va la traducción?
            ¿Y la factura?
            No, la factura no.
            O la bolsa o la vida.
            Las cuentas salen.
            Los pacientes y los médicos esperan.
            Me acuerdo de la canción.
            Desde aquí se ve la torre.
            La llave la tiene Rosa.
            ¿Qué piensas de esto?
            Dime lo primero que hay que hacer.
            La puerta se abre a la derecha.
            ¿Tú cómo lo ves?
            He perdido la nota.
            Las manzanas cuestan dos euros.
            Mi amiga vive en Sevilla.
            No lo sé.
            Está sobre la mesa, al lado de la lámpara.
            Deja la ventana abierta, por favor.
            Te la mando mañana.
            Vale, se la mando a Nicolás.
            El gimnasio abre a las ocho.
            No uses la caché en producción.
            La base de datos usa Postgres.
            Somos tres, como siempre.
            Hoy no tengo tiempo, pero mañana sí.
            Hay que cambiar la contraseña del servidor.
            Ella lo hizo sin ayuda.
            Nada, todo está bien.
        """,
        "fr": """
            La décision, c'est Agnès qui la prend.
            Ouvre la porte et ferme la fenêtre.
            Écris à Marthe pour la confirmation.
            Non, non, non : on ne publie jamais le vendredi.
            À quelle heure arrive le train ?
            La réunion commence à midi.
            Pour moi, la deuxième va bien.
            Prends les clés et le sac.
            La lune, la terre et les étoiles.
            Le soir je lis, le matin je cours.
            En automne les feuilles tombent.
            Une pomme, une poire et un citron.
            Un instant, je regarde la note.
            S'il pleut, je reste à la maison.
            La date de livraison est lundi.
            Comment avance la traduction ?
            Et la facture ?
            Non, pas la facture.
            La bourse ou la vie.
            Les comptes sont bons.
            Les patients et les médecins attendent.
            Je me souviens de la chanson.
            D'ici on voit la tour.
            C'est Rose qui a la clé.
            Qu'est-ce que tu en penses ?
            Dis-moi la première chose à faire.
            La porte s'ouvre à droite.
            Et toi, comment tu la vois ?
            J'ai perdu la note.
            Les pommes coûtent deux euros.
            Mon amie vit à Lyon.
            Je ne sais pas.
            Elle est sur la table, à côté de la lampe.
            Laisse la fenêtre ouverte, s'il te plaît.
            Je te l'envoie demain.
            D'accord, je l'envoie à Nicolas.
            La salle ouvre à huit heures.
            Il ne faut pas utiliser le cache en production.
            La base de données est Postgres.
            Nous sommes trois, comme toujours.
            Le menu du jour est sur le mur.
            Il y a du monde au marché.
            Elle me le dit sans rire.
            Rien de neuf, tout va bien.
        """,
        "pt": """
            A decisão é da Inês.
            Abre a porta e fecha a janela.
            Escreve à Marta para a confirmação.
            Não, não, não: nunca se publica na sexta.
            A que horas chega o comboio?
            A reunião começa ao meio-dia.
            Para mim a segunda está bem.
            Pega as chaves e a bolsa.
            A lua, a terra e as estrelas.
            À noite leio, de manhã corro.
            No outono as folhas caem.
            Uma maçã, uma pera e um limão.
            Um momento, vejo a nota.
            Se chover fico em casa.
            A data de entrega é segunda-feira.
            Como vai a tradução?
            E a fatura?
            Não, a fatura não.
            A bolsa ou a vida.
            As contas estão certas.
            Os pacientes e os médicos esperam.
            Lembro-me da canção.
            Daqui vê-se a torre.
            A chave está com a Rosa.
            O que você acha disso?
            Diz-me a primeira coisa a fazer.
            A porta abre para a direita.
            Como é que tu a vês?
            Perdi a nota.
            As maçãs custam dois euros.
            A minha amiga vive no Porto.
            Não sei.
            Está na mesa, ao lado da lâmpada.
            Deixa a janela aberta, por favor.
            Eu mando amanhã.
            Tudo bem, mando ao Nicolau.
            O ginásio abre às oito.
            Não uses a cache em produção.
            A base de dados usa Postgres.
            Somos três, como sempre.
            Hoje não tenho tempo, mas amanhã sim.
            É preciso mudar a senha do servidor.
            Ela fez isso sem ajuda.
            Nada, está tudo bem.
        """,
        "en": """
            Agnes takes the decision.
            Open the door and close the window.
            Write to Martha for the confirmation.
            No, no, no: we never release on a Friday.
            What time does the train arrive?
            The meeting starts at noon.
            The second one is fine for me.
            Take the keys and the bag.
            The moon, the earth and the stars.
            I read in the evening and run in the morning.
            The leaves fall in autumn.
            An apple, a pear and a lemon.
            One moment, I am looking at the note.
            If it rains I stay at home.
            The delivery is due on Monday.
            How is the translation going?
            And the invoice?
            No, not the invoice.
            Your money or your life.
            The sums are right.
            The patients and the doctors wait.
            I remember the song.
            You can see the tower from here.
            Rose has the key.
            What do you think?
            Tell me the first thing to do.
            The door opens to the right.
            How do you see it?
            I lost the note.
            Apples cost two euros.
            My friend lives in London.
            I don't know.
            It's on the table, next to the lamp.
            Please leave the window open.
            I'll send it to you tomorrow.
            Fine, I'll send it to Nicholas.
            The gym opens at eight.
            Do not use the cache in production.
            The database is Postgres.
            There are three of us, as always.
            Come in, I am on a call.
            No idea, ask me later.
            I like pizza, pasta and a good espresso.
            We had a lot of fun in Rome.
        """,
    }.items()
}
